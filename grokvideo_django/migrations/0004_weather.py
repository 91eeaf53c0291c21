# The weather at the gateway: pauses by hand, probes, reads that failed, files that are about to be deleted.

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("grokvideo", "0003_polling"),
    ]

    operations = [
        migrations.AddField(
            model_name="gatewaystate",
            name="balance_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="balance read"),
        ),
        migrations.AddField(
            model_name="gatewaystate",
            name="balance_usd",
            field=models.DecimalField(
                blank=True, decimal_places=4, editable=False, max_digits=14, null=True, verbose_name="wallet's balance"
            ),
        ),
        migrations.AddField(
            model_name="gatewaystate",
            name="flaps",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="gatewaystate",
            name="is_announced",
            field=models.BooleanField(default=False, editable=False, verbose_name="announced"),
        ),
        migrations.AddField(
            model_name="gatewaystate",
            name="let_one_through",
            field=models.BooleanField(default=False, editable=False, verbose_name="one submission may try"),
        ),
        migrations.AddField(
            model_name="gatewaystate",
            name="paused_by",
            field=models.CharField(blank=True, editable=False, max_length=255, verbose_name="paused by"),
        ),
        migrations.AddField(
            model_name="gatewaystate",
            name="resumed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="resumed"),
        ),
        migrations.AddField(
            model_name="gatewaystate",
            name="resumed_status",
            field=models.PositiveSmallIntegerField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="videorequest",
            name="failed_reads",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="videorequest",
            name="file_expires_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="deleted at the gateway"),
        ),
        migrations.AddField(
            model_name="videorequest",
            name="file_warn_at",
            field=models.DateTimeField(blank=True, db_index=True, editable=False, null=True),
        ),
    ]
