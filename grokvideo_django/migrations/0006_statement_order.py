# The newest lines of one account, among a million of others'.

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("grokvideo", "0005_sent_with"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="creditentry",
            name="grokvideo_entry_account",
        ),
        migrations.AddIndex(
            model_name="creditentry",
            index=models.Index(fields=["account", "id"], name="grokvideo_entry_statement"),
        ),
    ]
