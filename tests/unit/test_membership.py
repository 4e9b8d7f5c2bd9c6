"""Who belongs to which rule by its tags, whatever rules there are and whatever is found."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.memory.clock import START
from chalicelib.domain.membership import (
    MAX_LEFT_OUT,
    MAX_MEMBERS,
    NO_MEMBERS,
    PIECE,
    LeftOut,
    Membership,
    TaggedResource,
    TaggedRule,
    assign,
    blocked,
    candidates,
    pieces,
    shed,
)
from chalicelib.domain.resources import ObservedResource, Protection, ResourceKind, ResourceRef, ResourceState
from tests.builders import make_spec

IDS = [f"i-{n}" for n in range(8)]
TAGS = st.dictionaries(st.sampled_from(["env", "team"]), st.sampled_from(["a", "b"]))
PROTECTIONS = st.sampled_from([(), (), (), (Protection.AUTO_SCALING,), (Protection.DATA_LOSS,)])


def resource(id_: str, *protections: Protection, state: ResourceState = ResourceState.RUNNING) -> ObservedResource:
    return ObservedResource(ResourceRef(ResourceKind.EC2, "us-east-1", id_), state, protections=protections)


def rule(
    id_: str, tags: dict[str, str], *members: str, age: int = 0, named: tuple[str, ...] = (), **spec
) -> TaggedRule:
    made = make_spec(tags=tuple(sorted(tags.items())), resource_ids=named, **spec)
    return TaggedRule(id_, made, Membership(tuple(sorted(members))), START - timedelta(days=age))


def seen(**tags_of) -> dict[str, TaggedResource]:
    return {
        id_.replace("_", "-"): TaggedResource(resource(id_.replace("_", "-")), tags) for id_, tags in tags_of.items()
    }


@st.composite
def worlds(draw):
    """Rules of one place, what was found there, who owns what, and what a closer look told."""
    found = {
        id_: TaggedResource(resource(id_, *draw(PROTECTIONS)), draw(TAGS))
        for id_ in draw(st.lists(st.sampled_from(IDS), unique=True))
    }
    left = list(IDS)
    rules = []
    for n in range(draw(st.integers(0, 4))):
        mine = draw(st.lists(st.sampled_from(left), unique=True, max_size=4)) if left else []
        left = [id_ for id_ in left if id_ not in mine]
        cut = draw(st.integers(0, len(mine)))
        rules.append(
            rule(
                f"ru_{n}",
                draw(TAGS),
                *mine[cut:],
                age=draw(st.integers(0, 2)),
                named=tuple(mine[:cut]),
                accept_data_loss=draw(st.booleans()),
            )
        )
    owners = {id_: r.id for r in rules for id_ in (*r.spec.resource_ids, *r.membership.ids)}
    owners |= {id_: "ru_other" for id_ in left if draw(st.booleans())}
    checked = {
        id_: resource(id_, *draw(st.sampled_from([(), (), (Protection.STOP_PROTECTION,)])))
        for id_ in candidates(rules, found)
        if draw(st.integers(0, 3))
    }
    return rules, found, owners, checked


def fits(r: TaggedRule, id_: str, found) -> bool:
    """The tags match, and nothing that is seen at once forbids to stop it."""
    at = found.get(id_)
    return bool(r.spec.tags) and at is not None and at.has(r.spec.tags) and blocked(at.resource, r.spec) is None


@settings(max_examples=400)
@given(worlds())
def test_no_resource_is_in_two_rules_or_in_one_that_it_does_not_fit(world):
    rules, found, owners, checked = world
    wanted = assign(rules, found, owners, checked)
    assert wanted.keys() == {r.id for r in rules}
    everyone = [id_ for r in rules for id_ in (*r.spec.resource_ids, *wanted[r.id].ids)]
    assert len(everyone) == len(set(everyone))
    for r in rules:
        assert all(fits(r, id_, found) for id_ in wanted[r.id].ids)
        assert not any(owners.get(id_) == "ru_other" for id_ in wanted[r.id].ids)
        joined = set(wanted[r.id].ids) - set(r.membership.ids)
        assert all(id_ in checked and blocked(checked[id_], r.spec) is None for id_ in joined)


@settings(max_examples=400)
@given(worlds())
def test_exactly_who_fits_no_longer_leaves(world):
    rules, found, owners, checked = world
    wanted = assign(rules, found, owners, checked)
    for r in rules:
        left = set(r.membership.ids) - set(wanted[r.id].ids)
        assert left == {id_ for id_ in r.membership.ids if not fits(r, id_, found)}


@settings(max_examples=200)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter_and_a_second_look_changes_nothing(world, chance):
    rules, found, owners, checked = world
    wanted = assign(rules, found, owners, checked)
    mixed, pairs = list(rules), list(found.items())
    chance.shuffle(mixed)
    chance.shuffle(pairs)
    assert assign(mixed, dict(pairs), owners, checked) == wanted
    after = [TaggedRule(r.id, r.spec, wanted[r.id], r.created_at) for r in rules]
    owned = {id_: owner for id_, owner in owners.items() if owner == "ru_other"}
    owned |= {id_: r.id for r in after for id_ in (*r.spec.resource_ids, *r.membership.ids)}
    again = assign(after, found, owned, checked)
    assert {id_: members.ids for id_, members in again.items()} == {id_: m.ids for id_, m in wanted.items()}


@settings(max_examples=200)
@given(worlds())
def test_whoever_has_the_tags_and_is_not_in_is_left_out_by_name_or_has_yet_to_be_checked(world):
    rules, found, owners, checked = world
    wanted = assign(rules, found, owners, checked)
    for r in rules:
        matching = {id_ for id_, at in found.items() if r.spec.tags and at.has(r.spec.tags)}
        out = {o.id for o in wanted[r.id].left_out}
        assert out <= matching - set(wanted[r.id].ids)
        silent = matching - out - set(wanted[r.id].ids) - set(r.spec.resource_ids)
        assert not silent & checked.keys()


def test_of_two_rules_that_want_one_the_older_has_it_and_the_younger_says_so():
    found = seen(i_1={"env": "a"})
    young, old = rule("ru_1", {"env": "a"}), rule("ru_2", {"env": "a"}, age=1)
    wanted = assign([young, old], found, {}, {"i-1": resource("i-1")})
    assert wanted["ru_2"] == Membership(("i-1",))
    assert wanted["ru_1"] == Membership((), (LeftOut("i-1", "belongs to rule ru_2"),))


def test_a_member_stays_where_it_is_although_an_older_rule_wants_it():
    found = seen(i_1={"env": "a"})
    young, old = rule("ru_1", {"env": "a"}, "i-1"), rule("ru_2", {"env": "a"}, age=1)
    wanted = assign([young, old], found, {"i-1": "ru_1"}, {})
    assert (wanted["ru_1"].ids, wanted["ru_2"].ids) == (("i-1",), ())


def test_who_leaves_one_rule_joins_another_in_the_same_look():
    found = seen(i_1={"env": "b"})
    left, right = rule("ru_1", {"env": "a"}, "i-1"), rule("ru_2", {"env": "b"})
    assert candidates([left, right], found) == ("i-1",)
    wanted = assign([left, right], found, {"i-1": "ru_1"}, {"i-1": resource("i-1")})
    assert (wanted["ru_1"], wanted["ru_2"].ids) == (NO_MEMBERS, ("i-1",))


def test_all_tags_must_match_with_their_case():
    found = seen(i_1={"env": "a"}, i_2={"env": "a", "team": "B"}, i_3={"env": "a", "team": "b", "x": "y"})
    wanted = assign([rule("ru_1", {"env": "a", "team": "b"})], found, {}, {id_: resource(id_) for id_ in found})
    assert wanted["ru_1"].ids == ("i-3",)


def test_more_than_a_rule_holds_are_left_out_and_more_than_it_can_name_are_not_named():
    ids = [f"i-{n:04}" for n in range(MAX_MEMBERS + MAX_LEFT_OUT + 5)]
    found = {id_: TaggedResource(resource(id_), {"env": "a"}) for id_ in ids}
    wanted = assign([rule("ru_1", {"env": "a"})], found, {}, {id_: resource(id_) for id_ in ids})["ru_1"]
    assert wanted.ids == tuple(ids[:MAX_MEMBERS])
    assert [out.id for out in wanted.left_out] == ids[MAX_MEMBERS : MAX_MEMBERS + MAX_LEFT_OUT]


def test_what_was_left_out_and_is_not_checked_now_is_still_left_out_for_the_same_reason():
    found = seen(i_1={"env": "a"})
    known = LeftOut("i-1", Protection.STOP_PROTECTION.words)
    r = TaggedRule("ru_1", make_spec(tags=(("env", "a"),), resource_ids=()), Membership((), (known,)), START)
    assert assign([r], found, {}, {})["ru_1"].left_out == (known,)
    assert assign([r], found, {}, {"i-1": resource("i-1")})["ru_1"] == Membership(("i-1",))


some_members = st.builds(
    Membership,
    st.sets(st.integers(0, 400)).map(lambda numbers: tuple(sorted(f"i-{n:03}" for n in numbers))),
    st.just(()),
    st.sampled_from([None, "AccessDenied"]),
)


@settings(max_examples=50)
@given(some_members, some_members)
def test_pieces_are_small_and_lead_from_one_to_the_other(before, wanted):
    halfway = shed(before, wanted)
    assert set(halfway.ids) == set(before.ids) & set(wanted.ids)
    for start, end in ((before, halfway), (halfway, wanted)):
        steps = pieces(start, end)
        assert (steps == ()) is (start == end)
        for one, other in zip((start, *steps), steps, strict=False):
            assert len(set(one.ids) ^ set(other.ids)) <= PIECE
            assert other.ids == tuple(sorted(other.ids))
        assert (start, *steps)[-1] == end
