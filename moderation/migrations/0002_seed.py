"""Case numbers, and the policies, queues and routing rules that an installation starts with.

Rows, not code: what is routed where and what the policies say belongs to the people who run the
installation. They are made by a migration and not by a command, because an installation without the
rule for everything else would have reports that go nowhere. Existing rows are left alone.
"""

from django.db import migrations

VERBS_IMAGERY = ["ban_account", "remove_media", "close_group", "revoke_invite_link"]

QUEUES = [
    (
        "hash-matched",
        "Hash-matched",
        10,
        "Media that matches a list of known abuse imagery. Most of it is decided on the match alone.",
    ),
    (
        "suspected-imagery",
        "Suspected imagery",
        20,
        "Reported imagery that no list knows, and media that no detector could look at.",
    ),
    (
        "grooming",
        "Grooming and solicitation",
        30,
        "Messages and profiles through which somebody may be trying to reach a child.",
    ),
    ("groups", "Groups", 40, "Groups whose purpose or conduct is reported as harmful."),
    ("general", "General", 50, "Spam, impersonation and other reports."),
    (
        "unsorted",
        "Unsorted",
        60,
        "What no routing rule took. Every case here is a hint that a rule is missing.",
    ),
]

CATEGORIES = ["csam_known", "csam_suspected", "grooming", "harmful_group", "spam_other"]

POLICIES = [
    {
        "code": "CS-1",
        "category": "csam_known",
        "title": "Known abuse imagery (hash match)",
        "summary": "Media that a trusted list identifies as sexual abuse of a child.",
        "definition": (
            "The service does not host, and nobody may send, store or link to, imagery that shows the "
            "sexual abuse or exploitation of a person under 18. This policy covers media whose digest "
            "matches a list of known imagery that a recognised organisation keeps.\n\n"
            "Decide whether the match holds. An exact digest (MD5, SHA-1 or SHA-256) on a list of a "
            "recognised organisation is sufficient without looking at the original. For a perceptual "
            "match read the distance against the threshold of the list first; look at the original "
            "only when the distance is near the threshold or the quality of the digest is low."
        ),
        "include": (
            "Media with an exact digest on a list of a recognised organisation.\n"
            "Media within the threshold of such a list by a perceptual digest, when the match was "
            "checked by a person.\n"
            "Crops, re-encodings and other altered copies of such media."
        ),
        "exclude": (
            "A perceptual match that turns out to show something else: decide “Not a violation” and say "
            "so in the reason, so that the list entry can be reviewed.\n"
            "Media that no list knows: use the policy for suspected abuse imagery."
        ),
        "severity": 5,
        "enforcements": VERBS_IMAGERY,
        "requires_referral": True,
    },
    {
        "code": "CS-2",
        "category": "csam_suspected",
        "title": "Suspected abuse imagery",
        "summary": "Media that appears to show sexual abuse of a child and is on no list yet.",
        "definition": (
            "Imagery that appears to show the sexual abuse or exploitation of a person under 18, "
            "including drawn or generated imagery where the applicable law treats it alike, and media "
            "that was reported as such but could not be scanned.\n\n"
            "Apparent age is judged from the whole context, not from one feature. When in doubt about "
            "age, confirm and refer: the recipient has means to establish it that the service has not. "
            "Imagery that nobody has listed may show a child who is at risk now; decide these cases "
            "before those about known imagery when both wait."
        ),
        "include": (
            "Imagery of sexual abuse or exploitation in which a person appears to be under 18.\n"
            "Imagery that sexualises an apparent child, whatever the setting.\n"
            "Generated or altered imagery of an identifiable child in a sexual context."
        ),
        "exclude": (
            "Ordinary family, medical or educational imagery without a sexual context.\n"
            "Sexual imagery in which all persons are clearly adults.\n"
            "A file that cannot be opened is no evidence of either: record what is known and do not "
            "decide that nothing is there."
        ),
        "severity": 5,
        "enforcements": VERBS_IMAGERY,
        "requires_referral": True,
    },
    {
        "code": "CS-3",
        "category": "grooming",
        "title": "Grooming and solicitation",
        "summary": "Building contact with a child for sexual purposes, soliciting imagery, or extortion.",
        "definition": (
            "Conduct by which an adult, or somebody who presents as a peer, seeks sexual contact with "
            "a person under 18, asks for sexual imagery, arranges a meeting for that purpose, or "
            "threatens to publish imagery in order to obtain more or to obtain money.\n\n"
            "Judge the course of the conversation, not single words. A term match is a reason to read, "
            "never a decision by itself. When somebody may be in immediate danger, confirm and refer at "
            "once and say so in the first sentence of the reason."
        ),
        "include": (
            "Sexual approaches to a person who says or appears to be under 18.\n"
            "Requests for sexual imagery of a child, paid or not.\n"
            "Threats to publish imagery of a child.\n"
            "Offers or requests to arrange access to a child."
        ),
        "exclude": (
            "Age-appropriate conversation between young people.\n"
            "Sexual health advice, support for victims, and reporting about abuse.\n"
            "Conduct between adults: use the general policy."
        ),
        "severity": 4,
        "enforcements": ["ban_account", "remove_media", "limit_forwarding", "warn", "close_group"],
        "requires_referral": False,
    },
    {
        "code": "CS-4",
        "category": "harmful_group",
        "title": "Harmful group",
        "summary": "A group that exists to share abuse imagery or to organise harm to children.",
        "definition": (
            "A group whose name, description, picture or conduct shows that its purpose is to share, "
            "trade or ask for abuse imagery, to find children to approach, or to normalise their "
            "abuse.\n\n"
            "The case is about the group. What single members did is decided in cases about their "
            "accounts. Look at the name, the description and the picture first; they are often "
            "sufficient."
        ),
        "include": (
            "Groups that announce, trade or link to abuse imagery.\n"
            "Groups that exchange methods or targets.\n"
            "Invite links that lead to such a group."
        ),
        "exclude": (
            "Groups that were flooded with abusive material by outsiders against the will of their "
            "administrators: act on the accounts, warn the administrators.\n"
            "Groups for survivors, research or child protection."
        ),
        "severity": 4,
        "enforcements": ["close_group", "revoke_invite_link", "remove_media", "limit_forwarding"],
        "requires_referral": False,
    },
    {
        "code": "GN-1",
        "category": "spam_other",
        "title": "Spam and other",
        "summary": "Bulk messages, deception and other breaches that concern no child's safety.",
        "definition": (
            "Unwanted bulk messages, links to deceptive offers, impersonation, and reports that fit no "
            "other policy.\n\n"
            "Should anything in the case point to the abuse of a child, do not decide it here: give it "
            "back with that reason so that a lead moves it to the right queue."
        ),
        "include": (
            "The same message to many people who did not ask for it.\n"
            "Accounts or groups that pretend to be somebody else to gain money or data."
        ),
        "exclude": "Anything that another policy covers.",
        "severity": 1,
        "enforcements": [
            "warn",
            "limit_forwarding",
            "ban_account",
            "remove_media",
            "close_group",
            "revoke_invite_link",
        ],
        "requires_referral": False,
    },
]

# position, name, conditions, category, queue, severity, due minutes, explanation
RULES = [
    (
        10,
        "Known imagery by hash",
        {"flag_kinds": ["hash_match"], "categories": ["csam_known"]},
        "csam_known",
        "hash-matched",
        5,
        60,
        "Media matches a list of known abuse imagery",
    ),
    (
        20,
        "Listed as suspected, by hash",
        {"flag_kinds": ["hash_match"], "categories": ["csam_suspected"]},
        "csam_suspected",
        "suspected-imagery",
        5,
        60,
        "Media matches a list of suspected abuse imagery",
    ),
    (
        30,
        "Reported as abuse imagery by a trusted flagger",
        {"reasons": ["csam", "csam_suspected", "abuse_imagery"], "trust": "trusted"},
        "csam_suspected",
        "suspected-imagery",
        5,
        120,
        "A trusted flagger reports abuse imagery",
    ),
    (
        40,
        "Listed as grooming",
        {"flag_kinds": ["term_match", "hash_match"], "categories": ["grooming"]},
        "grooming",
        "grooming",
        4,
        240,
        "Content matches a list about grooming and solicitation",
    ),
    (
        50,
        "Imagery terms",
        {"flag_kinds": ["term_match"], "categories": ["csam_known", "csam_suspected"]},
        "csam_suspected",
        "suspected-imagery",
        4,
        240,
        "A text matches the terms for trade in abuse imagery",
    ),
    (
        60,
        "Listed as harmful group",
        {"flag_kinds": ["term_match", "hash_match"], "categories": ["harmful_group"]},
        "harmful_group",
        "groups",
        4,
        480,
        "Content matches a list about harmful groups",
    ),
    (
        70,
        "Reported as abuse imagery",
        {
            "reasons": ["csam", "csam_suspected", "abuse_imagery"],
            "trust": ["standard", "internal"],
        },
        "csam_suspected",
        "suspected-imagery",
        4,
        240,
        "Reported as abuse imagery",
    ),
    (
        80,
        "Reported as grooming",
        {"reasons": ["grooming", "solicitation", "sextortion"]},
        "grooming",
        "grooming",
        4,
        240,
        "Reported as grooming, solicitation or extortion",
    ),
    (
        90,
        "Reported as a harmful group",
        {"reasons": ["harmful_group", "group"]},
        "harmful_group",
        "groups",
        3,
        720,
        "Reported as a harmful group",
    ),
    (
        100,
        "Listed as spam or other",
        {"flag_kinds": ["hash_match"], "categories": ["spam_other", ""]},
        "spam_other",
        "general",
        2,
        1440,
        "Media matches a list about spam and other",
    ),
    (
        110,
        "Could not be scanned",
        {"flag_kinds": ["could_not_scan"]},
        "csam_suspected",
        "suspected-imagery",
        3,
        720,
        "A detector could not look at it, which is not the same as finding nothing",
    ),
    (
        120,
        "Not scanned",
        {"flag_kinds": ["not_scanned"]},
        "csam_suspected",
        "suspected-imagery",
        3,
        720,
        "No detector covers this kind of file yet, so a person has to look",
    ),
    (
        130,
        "Spam terms",
        {"flag_kinds": ["term_match"], "categories": ["spam_other"]},
        "spam_other",
        "general",
        1,
        2880,
        "A text matches the terms for spam",
    ),
    (
        140,
        "Reported as spam",
        {"reasons": ["spam", "scam", "impersonation", "other"]},
        "spam_other",
        "general",
        1,
        2880,
        "Reported as spam or for another reason",
    ),
    (
        1000,
        "Everything else",
        {},
        "spam_other",
        "unsorted",
        2,
        1440,
        "No routing rule took this, so a person sorts it",
    ),
]


def seed(apps, schema_editor):
    Queue = apps.get_model("moderation", "Queue")
    Policy = apps.get_model("moderation", "Policy")
    PolicyVersion = apps.get_model("moderation", "PolicyVersion")
    RoutingRule = apps.get_model("moderation", "RoutingRule")
    CategoryGrant = apps.get_model("moderation", "CategoryGrant")
    for category in CATEGORIES:
        CategoryGrant.objects.get_or_create(category=category)
    queues = {}
    for slug, name, position, description in QUEUES:
        queues[slug], _ = Queue.objects.get_or_create(
            slug=slug, defaults={"name": name, "position": position, "description": description}
        )
    for text in POLICIES:
        policy, _ = Policy.objects.get_or_create(
            code=text["code"], defaults={"category": text["category"], "title": text["title"]}
        )
        wording = {
            name: text[name]
            for name in (
                "summary",
                "definition",
                "include",
                "exclude",
                "severity",
                "enforcements",
                "requires_referral",
            )
        }
        PolicyVersion.objects.get_or_create(policy=policy, version=1, defaults=wording)
    for position, name, conditions, category, queue, severity, due_minutes, why in RULES:
        RoutingRule.objects.get_or_create(
            position=position,
            defaults={
                "name": name,
                "conditions": conditions,
                "category": category,
                "queue": queues[queue],
                "severity": severity,
                "due_minutes": due_minutes,
                "explanation": why,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("moderation", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE SEQUENCE moderation_case_number AS bigint",
            "DROP SEQUENCE moderation_case_number",
        ),
        # What was seeded is part of the record (decisions point at it), so going back leaves it.
        migrations.RunPython(seed, migrations.RunPython.noop),
    ]
