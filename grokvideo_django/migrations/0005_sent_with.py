# When each request was sent, and under which tag: what the gateway's monthly bill is compared with. The old version's
# workers go on without knowing the columns.

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("grokvideo", "0004_weather"),
    ]

    operations = [
        migrations.AddField(
            model_name="videorequest",
            name="sent_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="sent"),
        ),
        migrations.AddField(
            model_name="videorequest",
            name="tag",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=64, verbose_name="tag"
            ),
        ),
    ]
