"""postings/presentation.py as template filters."""

from django import template

from postings import presentation

register = template.Library()
register.filter("place", presentation.place)
register.filter("salary", presentation.salary)
register.filter("age", presentation.age)
register.filter("price", presentation.price)
