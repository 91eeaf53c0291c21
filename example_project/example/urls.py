"""The example site's addresses."""

from content import views
from django.conf import settings
from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from grokvideo_django.views import serve

urlpatterns = [
    path("admin/", admin.site.urls),
    path("grokvideo/", include("grokvideo_django.urls")),
    path("media/<path:path>", serve, {"document_root": settings.MEDIA_ROOT}),
    path("favicon.ico", RedirectView.as_view(url=static("content/icon.svg"))),  # asked for by pages that name no icon
    path("", views.home, name="home"),
    path("<slug:slug>/", views.article, name="article"),
]
