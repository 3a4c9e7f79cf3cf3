"""A rule of its own for the risk of accounts: what adds most to it is imagery, not a group's purpose."""

from django.db import migrations

POSITION = 61


def seed(apps, schema_editor):
    Queue = apps.get_model("moderation", "Queue")
    RoutingRule = apps.get_model("moderation", "RoutingRule")
    found = Queue.objects.filter(slug="suspected-imagery").first()
    if found is None or RoutingRule.objects.filter(position=POSITION).exists():
        return  # The organisation arranged its own queues and rules; it has the page for that.
    RoutingRule.objects.create(
        position=POSITION,
        name="Risk score of an account",
        conditions={"flag_kinds": ["risk"], "subject": "account"},
        category="csam_suspected",
        queue=found,
        severity=4,
        due_minutes=480,
        explanation="Its risk score crossed the threshold",
    )


class Migration(migrations.Migration):
    dependencies = [("moderation", "0003_rules_for_scores")]

    # What was seeded is part of the record (cases name their rule), so going back leaves it.
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
