"""Routing rules for what classifiers and the risk score of a group or account say."""

from django.db import migrations

# position, name, conditions, category, queue, severity, due minutes, explanation
RULES = [
    (
        45,
        "Classifier: grooming",
        {"flag_kinds": ["classifier"], "categories": ["grooming"]},
        "grooming",
        "grooming",
        3,
        720,
        "A classifier finds the text similar to texts that people confirmed",
    ),
    (
        55,
        "Classifier: imagery",
        {"flag_kinds": ["classifier"], "categories": ["csam_known", "csam_suspected"]},
        "csam_suspected",
        "suspected-imagery",
        3,
        720,
        "A classifier finds the content similar to what people confirmed",
    ),
    (
        62,
        "Risk score of a group or account",
        {"flag_kinds": ["risk"]},
        "harmful_group",
        "groups",
        4,
        480,
        "Its risk score crossed the threshold",
    ),
    (
        65,
        "Classifier: harmful group",
        {"flag_kinds": ["classifier"], "categories": ["harmful_group"]},
        "harmful_group",
        "groups",
        3,
        720,
        "A classifier finds the text similar to texts that people confirmed",
    ),
    (
        135,
        "Classifier: spam",
        {"flag_kinds": ["classifier"], "categories": ["spam_other"]},
        "spam_other",
        "general",
        1,
        2880,
        "A classifier finds the text similar to spam that people confirmed",
    ),
]


def seed(apps, schema_editor):
    Queue = apps.get_model("moderation", "Queue")
    RoutingRule = apps.get_model("moderation", "RoutingRule")
    for position, name, conditions, category, queue, severity, due_minutes, why in RULES:
        found = Queue.objects.filter(slug=queue).first()
        if found is None or RoutingRule.objects.filter(position=position).exists():
            continue  # The organisation arranged its own queues and rules; it has the page for that.
        RoutingRule.objects.create(
            position=position,
            name=name,
            conditions=conditions,
            category=category,
            queue=found,
            severity=severity,
            due_minutes=due_minutes,
            explanation=why,
        )


class Migration(migrations.Migration):
    dependencies = [("moderation", "0002_seed")]

    # What was seeded is part of the record (cases name their rule), so going back leaves it.
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
