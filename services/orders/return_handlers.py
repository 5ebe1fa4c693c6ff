"""What a customer, and the people who handle returns, may ask of one."""

from core.audit import recording_refusals
from core.decider import Cause, execute
from core.envelope import command_id
from services.orders.decider import ORDERS
from services.orders.handlers import OrderOutcome, Orders, asked, load_for_customer
from services.orders.return_commands import RequestReturn, ReturnCommand
from services.orders.returns import Return, find

CUSTOMER = "customer"
"""As an actor: whose order it is."""


async def request_return(
    orders: Orders, order_id: str, command: RequestReturn, traceparent: str
) -> tuple[Return, OrderOutcome]:
    """The return of this request, new or asked for before. Raises OrderNotFound, CannotReturn."""
    outcome = await _execute(orders, order_id, command, command.request_key, traceparent, CUSTOMER)
    found = next(each for each in outcome.state.returns if each.request_key == command.request_key)
    return found, outcome


async def ask(
    orders: Orders, order_id: str, return_id: str, command: ReturnCommand, traceparent: str, actor: str
) -> Return:
    """The return afterwards; `actor` is CUSTOMER or who else asks.

    Raises OrderNotFound, ReturnNotFound, CannotReturn, WrongReturnStatus.
    """
    outcome = await _execute(orders, order_id, command, return_id, traceparent, actor)
    return find(outcome.state.returns, return_id)


async def _execute(
    orders: Orders, order_id: str, command: ReturnCommand, part: str, traceparent: str, actor: str
) -> OrderOutcome:
    loaded = None
    if actor == CUSTOMER:
        loaded, actor = await load_for_customer(orders, order_id)
    id = command_id(order_id, f"orders.{type(command).__name__}", part)
    cause = Cause(id, order_id, id, traceparent, actor)
    now = orders.clock.now()
    async with recording_refusals(orders.documents, asked(order_id, command, cause), now):
        return await execute(orders.documents, ORDERS, order_id, command, cause, now, loaded=loaded)
