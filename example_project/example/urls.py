"""The example site's addresses."""

from content import views
from django.contrib import admin
from django.urls import include, path

from .media import media

urlpatterns = [
    path("admin/", admin.site.urls),
    path("grokvideo/", include("grokvideo_django.urls")),
    path("media/<path:path>", media, name="media"),
    path("", views.home, name="home"),
    path("<slug:slug>/", views.article, name="article"),
]
