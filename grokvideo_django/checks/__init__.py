"""``manage.py check``: every wrong setting, with the mend in the hint. Reads settings only: no database, no network.

====  ==================================================================================
id    what is wrong
====  ==================================================================================
E001  GROKVIDEO is no dict
E002  a name in GROKVIDEO that does not exist
E003  a value of the wrong type, or out of range
E004  API_KEY cannot be sent
E005  BASE_URL cannot be used
E006  MEDIA_HOSTS names no host, or not as a host
E007  SITE_URL is no address of a site
E008  PRICES is malformed
E009  PRICES has no entry for MODEL
E010  STORAGE is not in STORAGES
E011  QUEUE is not in RQ_QUEUES
E012  an app is missing in INSTALLED_APPS
E013  a database router sends the ledger elsewhere than to the default database
E014  MariaDB or MySQL does not show what others have committed
E015  USE_TZ is off
W001  there is no API key
W002  ALLOW_PRIVATE_NETWORK is on in production
W003  BASE_URL ends without a version
W004  the gateway is local, and its results would be refused
W005  Redis has no time-out for connecting
W006  REDIS_CLIENT_KWARGS is ignored
W007  ASYNC is off for the queue
W008  the queue has a SERIALIZER that RQ's commands do not know
W009  SQLite is slower than it could be
W010  PRICES lacks a resolution, or the input image
W011  videos are kept on disk, and MEDIA_ROOT or MEDIA_URL is empty
====  ==================================================================================
"""

from django.core.checks import register

from . import gateway, prices, site, values

TAG = "grokvideo"

for check in (
    values.check_values,
    gateway.check_key,
    gateway.check_base_url,
    gateway.check_private_network,
    gateway.check_media_hosts,
    gateway.check_site_url,
    prices.check_prices,
    site.check_apps,
    site.check_storage,
    site.check_media,
    site.check_queue,
    site.check_databases,
    site.check_time_zones,
):
    register(check, TAG)
