"""``path("grokvideo/", include("grokvideo_django.urls"))``: optional; the admin works without."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "grokvideo"

urlpatterns = [
    path("media/<str:token>", views.media, name="media"),
    path("poster/<str:token>", views.poster, name="poster"),
]
