"""Golden records of households computed anew: also who stood on their lists, and who of those was dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.pipeline.checks.survivors import MADE, computed_anew, held, said
from mdm.pipeline.steps import PERSON
from mdm.store.rosters import HOUSEHOLD, make_rosters

if TYPE_CHECKING:
    from mdm.pipeline.checks.opened import Found, Opened


def household_survivors(opened: Opened) -> Found:
    return computed_anew(opened, HOUSEHOLD, step="household_golden", make=_rosters_then)


def _rosters_then(opened: Opened) -> None:
    """What `make_rosters` gives of every record that is asked about, all moments at once: each has registries of its own."""
    attribute = "v.attributes ->> '$.{0}' AS {0}".format
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TABLE list_then AS
        SELECT row_number() OVER () AS record, a.asked, v.record_id, a.event, a.batch, v.registry AS office,
            a.event || '/' || v.registry AS registry, r.local_id,
            {attribute("head_name")}, {attribute("head_personal_id")}, {attribute("poverty_class")}, {attribute("reference_year")}
        FROM asked AS a JOIN membership AS m ON m.entity_key = a.entity_key AND {held("m", "a")}
        JOIN version_said AS v ON v.record_id = m.record_id AND {said("v", "a")}
        JOIN record AS r ON r.record_id = v.record_id
        WHERE v.status = 'active';
        CREATE OR REPLACE TABLE listed_then AS
        SELECT l.registry, l.local_id AS household_ref, {attribute("head_relation")}, {attribute("full_name")}, {attribute("personal_id")},
            e.entity_id AS entity, l.event, m.entity_key
        FROM (SELECT DISTINCT event, batch, office, registry, local_id FROM list_then) AS l
        JOIN (
            SELECT v.*, v.attributes ->> '$.household_ref' AS household_ref FROM version_said AS v
            SEMI JOIN (FROM record WHERE kind = '{PERSON}') USING (record_id)
            WHERE v.status = 'active' AND v.attributes LIKE '%"household_ref"%'
        ) AS v ON v.registry = l.office AND v.household_ref = l.local_id AND {said("v", "l")}
        JOIN membership AS m ON m.record_id = v.record_id AND {held("m", "l")}
        JOIN entity AS e ON e.entity_key = m.entity_key;
        CREATE OR REPLACE TABLE named_then AS
        SELECT *, EXISTS (FROM golden AS g WHERE g.dead AND g.entity_key = l.entity_key AND {held("g", "l")}) AS dead FROM listed_then AS l
        """
    )
    make_rosters(opened.connection, lists="list_then", listed="named_then", into="roster_then")
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TABLE {MADE} AS
        SELECT l.asked, l.record_id AS record, w.members, w.head_person, w.poverty_years FROM list_then AS l JOIN roster_then AS w USING (record);
        DROP TABLE list_then; DROP TABLE listed_then; DROP TABLE named_then; DROP TABLE roster_then
        """
    )
