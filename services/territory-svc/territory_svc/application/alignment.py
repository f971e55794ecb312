"""Commands on alignments: everything that changes the map."""

from typing import Self
from uuid import UUID

from pydantic import ConfigDict, model_validator

from chassis.context import Context
from chassis.store import Saved, Store
from prm_contracts.facts import Value
from prm_contracts.territories import Overlap, TerritoryDefinition
from territory_svc.application import tables
from territory_svc.domain.alignment import Alignment
from territory_svc.domain.cells import PlacedTerritory, lookup_keys
from territory_svc.domain.code import CodeReservation, TerritoryCodeTaken, code_id
from territory_svc.domain.overlaps import overlaps
from territory_svc.domain.territory import Status, Switch, Territory
from territory_svc.domain.territory_map import MAP_ID, TerritoryMap


class Change(Value):
    """A territory as it is wanted. Without an id: a new one, or the one drafted under the code.

    Without a definition: the territory is to be retired.
    """

    # What the validator asks for, as the API's description says it.
    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": kind}}}
                for name, kind in (("territory_id", "string"), ("definition", "object"))
            ]
        }
    )

    territory_id: UUID | None = None
    definition: TerritoryDefinition | None = None

    @model_validator(mode="after")
    def _names_a_territory(self) -> Self:
        if self.territory_id is None and self.definition is None:
            raise ValueError("name the territory to retire")
        return self


async def draft_alignment(
    store: Store, ctx: Context, name: str, changes: tuple[Change, ...]
) -> Saved:
    territory_map = await store.load_or_new(TerritoryMap, MAP_ID)
    alignment = Alignment(ctx.new_id("alignment"))
    alignment.draft(ctx.actor, name, territory_map.alignment_version)
    for change in changes:
        await _change(store, ctx, alignment, change)
    return await store.save(ctx, alignment)


async def change_territory(store: Store, ctx: Context, alignment_id: UUID, change: Change) -> Saved:
    alignment = await store.load_addressed(ctx, Alignment, alignment_id)
    await _change(store, ctx, alignment, change)
    return await store.save(ctx, alignment)


async def validate_alignment(store: Store, ctx: Context, alignment_id: UUID) -> Saved:
    """Records what overlaps, or that another alignment was faster."""
    alignment = await store.load_addressed(ctx, Alignment, alignment_id)
    territory_map = await store.load_or_new(TerritoryMap, MAP_ID)
    stale = await _changed_by_others(store, alignment)
    if stale:
        alignment.overtake(stale, territory_map.alignment_version)
    else:
        await _ensure_codes_are_free(store, alignment)
        alignment.validate(await _overlaps(store, alignment))
    return await store.save(ctx, alignment)


async def approve_alignment(store: Store, ctx: Context, alignment_id: UUID) -> Saved:
    alignment = await store.load_addressed(ctx, Alignment, alignment_id)
    alignment.ensure_current(await _changed_by_others(store, alignment))
    live = await store.rows(tables.Named, tables.live_partners(alignment.assigned_partners()))
    alignment.approve(ctx.actor, [partner.id for partner in live])
    return await store.save(ctx, alignment)


async def activate_alignment(store: Store, ctx: Context, alignment_id: UUID) -> Saved:
    """One append: the alignment, the map, each territory, and each code that changes hands.

    The map is loaded first and appended to: when it switches meanwhile, the command runs again.
    """
    alignment = await store.load_addressed(ctx, Alignment, alignment_id)
    territory_map = await store.load_or_new(TerritoryMap, MAP_ID)
    switch = Switch(alignment.id, territory_map.alignment_version + 1, ctx.now)
    alignment.ensure_current(await _changed_by_others(store, alignment))
    touched = await store.load_many_or_new(Territory, alignment.changes)
    changed = [t for t in touched if alignment.changes[t.id] or t.status is Status.ACTIVE]
    alignment.activate(ctx.actor, switch, len(changed), await _overlaps(store, alignment))
    codes = await _pass_on_codes(store, alignment, changed)
    territory_map.switch(switch)
    for territory in changed:
        wanted = alignment.changes[territory.id]
        if wanted:
            territory.activate(wanted, switch)
        else:
            territory.retire(switch)
    return await store.save(ctx, alignment, territory_map, *changed, *codes)


async def overtake_alignments(store: Store, ctx: Context, activated_id: UUID) -> Saved:
    """Those undecided that touch a territory which this one has changed are stale now.

    One drafted this very moment may not be listed yet: it finds out when it is validated.
    """
    activated = await store.load(Alignment, activated_id)
    territory_map = await store.load_or_new(TerritoryMap, MAP_ID)
    undecided = await store.rows(tables.Named, tables.undecided_alignments())
    overtaken = await store.load_many(Alignment, [each.id for each in undecided])
    for alignment in overtaken:
        alignment.overtake(activated.changes.keys(), territory_map.alignment_version)
    return await store.save(ctx, activated, *overtaken)


async def _change(store: Store, ctx: Context, alignment: Alignment, change: Change) -> None:
    territory_id = change.territory_id
    if territory_id is None:
        code = change.definition.code if change.definition else ""
        territory_id = alignment.territory_coded(code) or ctx.new_id(f"territory {code}")
    elif territory_id not in alignment.changes:
        (await store.load(Territory, territory_id)).ensure_changeable()
    alignment.change(ctx.actor, territory_id, change.definition)


async def _changed_by_others(store: Store, alignment: Alignment) -> tuple[UUID, ...]:
    changed = tables.changed_since(alignment.base_version, alignment.changes)
    return tuple(row.id for row in await store.rows(tables.Named, changed))


async def _ensure_codes_are_free(store: Store, alignment: Alignment) -> None:
    """Said early; the reservation decides when the alignment is activated."""
    codes = [wanted.code for wanted in alignment.changes.values() if wanted]
    holders = tables.holders_of(codes, but=alignment.changes)
    for holder in await store.rows(tables.CodeHolder, holders):
        raise TerritoryCodeTaken(holder.code, holder.territory_id)


async def _overlaps(store: Store, alignment: Alignment) -> tuple[Overlap, ...]:
    changed = [
        PlacedTerritory(territory_id=each, rule=wanted.rule, assignments=wanted.assignments)
        for each, wanted in alignment.changes.items()
        if wanted
    ]
    keys = {key for territory in changed for key in lookup_keys(territory.rule)}
    [found] = await store.rows(tables.MapExtract, tables.map_near(keys))
    standing = (t for t in found.territories if t.territory_id not in alignment.changes)
    return overlaps(changed, standing)


async def _pass_on_codes(
    store: Store, alignment: Alignment, changed: list[Territory]
) -> list[CodeReservation]:
    """All that is given up is free before anything is claimed: two may swap their codes."""
    wanted = {t.id: to_be.code for t in changed if (to_be := alignment.changes[t.id])}
    freed = {t.id: t.code for t in changed if t.code and t.code != wanted.get(t.id)}
    reserved = {*freed.values(), *wanted.values()}
    found = await store.load_many_or_new(CodeReservation, map(code_id, reserved))
    codes = dict(zip(reserved, found, strict=True))
    for territory_id, code in freed.items():
        codes[code].release(territory_id)
    for territory_id, code in wanted.items():
        codes[code].claim(code, territory_id)
    return list(codes.values())
