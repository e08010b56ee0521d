"""Routes of buyers and orders, to be included under /api/v1/."""

from django.urls import path

from examples.ledger_orders.api import BuyersView, OrdersView

app_name = "ledger_orders"
urlpatterns = [
    path("buyers/", BuyersView.as_view(), name="buyers"),
    path("orders/", OrdersView.as_waiting_view(), name="orders"),
]
