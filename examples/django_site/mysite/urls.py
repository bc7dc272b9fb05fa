"""The pages of this site."""

from django.urls import path
from regions import views

urlpatterns = [path("", views.regions)]
