# What the poller learns from, and where it writes down what it has learned.

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("grokvideo", "0002_budgets_and_allowances"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="gatewaystate",
            name="usual",
            field=models.JSONField(default=dict, editable=False),
        ),
        migrations.AddField(
            model_name="videorequest",
            name="last_read_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="last look"),
        ),
        migrations.AddIndex(
            model_name="videorequest",
            index=models.Index(fields=["submitted_at"], name="grokvideo_req_submitted"),
        ),
        migrations.AddIndex(
            model_name="videorequest",
            index=models.Index(fields=["rendered_at"], name="grokvideo_req_rendered"),
        ),
    ]
