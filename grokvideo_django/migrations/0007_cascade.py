# Budgets and allowances go with their user or group on MariaDB, too; and truer help texts. No SQL.

import django.core.validators
from django.conf import settings
from django.db import migrations, models

import grokvideo_django.models.deleting


def key(to, name):
    return models.ForeignKey(
        blank=True,
        null=True,
        on_delete=grokvideo_django.models.deleting.cascade,
        related_name="+",
        to=to,
        verbose_name=name,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("grokvideo", "0006_statement_order"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(model_name="allowance", name="group", field=key("auth.group", "group")),
        migrations.AlterField(model_name="allowance", name="user", field=key(settings.AUTH_USER_MODEL, "user")),
        migrations.AlterField(model_name="budget", name="group", field=key("auth.group", "group")),
        migrations.AlterField(model_name="budget", name="user", field=key(settings.AUTH_USER_MODEL, "user")),
        migrations.AlterField(
            model_name="budget",
            name="period",
            field=models.CharField(
                choices=[("day", "day"), ("week", "week"), ("month", "calendar month"), ("forever", "for ever")],
                default="month",
                help_text="It counts what is started from its creation on. Another period, or another time zone of the site, begins a new count.",
                max_length=8,
                verbose_name="period",
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="warn_percent",
            field=models.PositiveSmallIntegerField(
                default=80,
                help_text="Percent of the ceiling: past it, once a period, the log has a warning and code may react to a signal.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(100),
                ],
                verbose_name="warning level",
            ),
        ),
    ]
