"""Which carrier is asked first."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from services.shipping.offers import ECONOMY, EXPRESS, STANDARD_DAYS, Offer, rank

POST = Offer("post", "parcel", 400, 2)
FAST = Offer("fast", "parcel", 900, 1)
SLOW = Offer("slow", "parcel", 100, 30)
UNKNOWN = Offer("unknown", "", None, None)


def carriers(*offers: Offer, delivery: str) -> list[str]:
    return [offer.carrier for offer in rank(offers, delivery)]


def test_who_chose_express_gets_the_fastest_and_others_the_cheapest_that_is_not_too_slow():
    offers = (UNKNOWN, SLOW, POST, FAST)
    assert carriers(*offers, delivery="express") == ["fast", "post", "slow", "unknown"]
    assert carriers(*offers, delivery="economy") == ["slow", "post", "fast", "unknown"]
    assert carriers(*offers, delivery="standard") == ["post", "fast", "slow", "unknown"]
    assert carriers(*offers, delivery="any other") == ["post", "fast", "slow", "unknown"]


def test_of_one_carrier_the_best_offer_counts():
    next_day = Offer("post", "next day", 800, 1)
    assert rank([POST, next_day, FAST], "standard") == (POST, FAST)
    assert rank([POST, next_day, FAST], "express") == (next_day, FAST)


def test_prices_are_compared_within_a_currency_and_the_orders_comes_first():
    here, dear = replace(POST, currency="GBP"), Offer("dear", "parcel", 900, 2, "GBP")
    there = [Offer("a", "parcel", 1, 1, "USD"), Offer("b", "parcel", 2, 1, "EUR")]
    offers = [*there, dear, UNKNOWN, here]
    assert [each.carrier for each in rank(offers, "economy", "GBP")] == ["post", "dear", "b", "a", "unknown"]
    assert [each.carrier for each in rank(offers, "economy", "USD")][:2] == ["a", "b"]
    assert [each.carrier for each in rank([*there, UNKNOWN], "economy", "GBP")] == ["b", "a", "unknown"]


def test_no_offers_make_no_choice():
    assert rank([], "standard") == ()


offers = st.lists(
    st.builds(
        Offer,
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["x", "y"]),
        st.integers(1, 5),
        st.integers(1, STANDARD_DAYS + 3),
    ),
    max_size=8,
)
deliveries = st.sampled_from(["standard", EXPRESS, ECONOMY])


@settings(max_examples=300, deadline=None)
@given(offers, deliveries, st.randoms(use_true_random=False))
def test_the_choice_depends_on_the_offers_alone_and_names_each_carrier_once(made, delivery, random):
    ranked = rank(made, delivery)
    shuffled = list(made)
    random.shuffle(shuffled)
    assert rank(shuffled, delivery) == ranked
    assert sorted(offer.carrier for offer in ranked) == sorted({offer.carrier for offer in made})
    assert set(ranked) <= set(made)


@settings(max_examples=300, deadline=None)
@given(offers.filter(bool), deliveries)
def test_nobody_is_asked_before_one_who_is_better_by_what_the_customer_chose(made, delivery):
    first = rank(made, delivery)[0]
    assert first.days is not None
    assert first.price is not None
    known = [(offer.price or 0, offer.days or 0) for offer in made]
    if delivery == EXPRESS:
        assert first.days == min(days for _, days in known)
        assert first.price == min(price for price, days in known if days == first.days)
        return
    in_time = [(price, days) for price, days in known if delivery == ECONOMY or days <= STANDARD_DAYS]
    if in_time:
        assert (first.price, first.days) == min(in_time)
    else:
        assert first.days == min(days for _, days in known)
