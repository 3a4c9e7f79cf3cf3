"""Addresses of the lists and rules, for people."""

from django.urls import path

from hashing.views import classifier_versions as versions
from hashing.views import (
    classifiers,
    detectors,
    list_states,
    lists,
    lookups,
    rule_versions,
    rules,
    videos,
)

app_name = "hashing"
urlpatterns = [
    path("match/", lookups.match, name="match"),
    path("match/digest/", lookups.explore, name="match_explore"),
    path("match/<uuid:lookup_id>/", lookups.match_file, name="match_file"),
    path("hash-lists/<uuid:list_id>/videos/", videos.listing, name="list_videos"),
    path("hash-lists/<uuid:list_id>/videos/new/", videos.new, name="video_new"),
    path("listed-videos/<int:video_id>/retire/", videos.retire, name="video_retire"),
    path("listed-videos/<int:video_id>/restore/", videos.restore, name="video_restore"),
    path("hash-list-imports/<uuid:import_id>/", list_states.import_detail, name="import"),
    path(
        "hash-list-imports/<uuid:import_id>/bad-rows.csv",
        list_states.import_problems,
        name="import_problems",
    ),
    path(
        "hash-list-imports/<uuid:import_id>/<slug:verb>/",
        list_states.import_switch,
        name="import_switch",
    ),
    path("hash-lists/<uuid:list_id>/pause/", list_states.pause, name="list_pause"),
    path("hash-lists/<uuid:list_id>/resume/", list_states.resume, name="list_resume"),
    path("hash-lists/<uuid:list_id>/release/", list_states.release, name="list_release"),
    path(
        "hash-lists/<uuid:list_id>/automatic/<slug:verb>/",
        list_states.automatic,
        name="list_automatic",
    ),
    path("hash-lists/<uuid:list_id>/export/<slug:form>/", list_states.export, name="list_export"),
    path("hash-lists/<uuid:list_id>/threshold/", list_states.preview, name="list_preview"),
    path("hash-entries/<int:entry_id>/", list_states.entry, name="entry"),
    path("hash-lists/", lists.listing, name="lists"),
    path("hash-lists/new/", lists.new, name="list_new"),
    path("hash-lists/<uuid:list_id>/", lists.detail, name="list"),
    path("hash-lists/<uuid:list_id>/edit/", lists.edit, name="list_edit"),
    path("hash-lists/<uuid:list_id>/import/", lists.import_file, name="list_import"),
    path("hash-lists/<uuid:list_id>/entries/new/", lists.add_entry, name="entry_new"),
    path("hash-entries/<int:entry_id>/retire/", lists.retire_entry, name="entry_retire"),
    path("hash-entries/<int:entry_id>/restore/", lists.restore_entry, name="entry_restore"),
    path("classifiers/", classifiers.listing, name="classifiers"),
    path("classifiers/new/", classifiers.new, name="classifier_new"),
    path("classifiers/<uuid:classifier_id>/", classifiers.detail, name="classifier"),
    path("classifiers/<uuid:classifier_id>/edit/", classifiers.edit, name="classifier_edit"),
    path(
        "classifiers/<uuid:classifier_id>/texts/",
        classifiers.import_texts,
        name="classifier_import",
    ),
    path("classifiers/<uuid:classifier_id>/train/", classifiers.train, name="classifier_train"),
    path("classifiers/<uuid:classifier_id>/try/", classifiers.try_text, name="classifier_try"),
    path(
        "classifiers/<uuid:classifier_id>/roll-back/",
        classifiers.roll_back,
        name="classifier_roll_back",
    ),
    path(
        "training-sets/<uuid:set_id>/withdraw/",
        classifiers.withdraw_texts,
        name="training_set_withdraw",
    ),
    path("classifier-versions/<uuid:version_id>/", versions.detail, name="classifier_version"),
    path(
        "classifier-versions/<uuid:version_id>/progress/",
        versions.progress,
        name="classifier_progress",
    ),
    path(
        "classifier-versions/<uuid:version_id>/threshold/",
        versions.threshold,
        name="classifier_threshold",
    ),
    path(
        "classifier-versions/<uuid:version_id>/choose/", versions.choose, name="classifier_choose"
    ),
    path(
        "classifier-versions/<uuid:version_id>/shadow/", versions.shadow, name="classifier_shadow"
    ),
    path("classifier-versions/<uuid:version_id>/ask/", versions.ask, name="classifier_ask"),
    path("classifier-versions/<uuid:version_id>/stop/", versions.stop, name="classifier_stop"),
    path(
        "classifier-activations/<int:activation_id>/approve/",
        versions.approve,
        name="activation_approve",
    ),
    path(
        "classifier-activations/<int:activation_id>/decline/",
        versions.decline,
        name="activation_decline",
    ),
    path(
        "classifier-activations/<int:activation_id>/withdraw/",
        versions.withdraw,
        name="activation_withdraw",
    ),
    path("text-rules/", rules.listing, name="rules"),
    path("text-rules/new/", rules.new, name="rule_new"),
    path("text-rules/try/", rules.try_text, name="try_text"),
    path("text-rules/<uuid:list_id>/", rules.detail, name="rule"),
    path("text-rules/<uuid:list_id>/edit/", rules.edit, name="rule_edit"),
    path("text-rules/<uuid:list_id>/terms/", rules.terms, name="rule_terms"),
    path("detectors/", detectors.listing, name="detectors"),
    path("detectors/new/", detectors.new, name="detector_new"),
    path("detectors/trials/<uuid:trial_id>/", detectors.trial, name="detector_trial"),
    path("detectors/<str:name>/", detectors.detail, name="detector"),
    path("detectors/<str:name>/settings/", detectors.edit, name="detector_edit"),
    path("detectors/<str:name>/switch/", detectors.switch, name="detector_switch"),
    path("detectors/<str:name>/again/", detectors.try_again, name="detector_again"),
    path("detectors/<str:name>/secret/", detectors.new_secret, name="detector_secret"),
    path("detectors/<str:name>/try/", detectors.try_it, name="detector_try"),
    path("text-rules/<uuid:list_id>/build/", rules.build, name="rule_build"),
    path("text-rules/<uuid:list_id>/import/", rules.import_file, name="rule_import"),
    path("text-rules/<uuid:list_id>/export/", rules.export, name="rule_export"),
    path("text-rules/<uuid:list_id>/versions/", rule_versions.versions, name="rule_versions"),
    path(
        "text-rules/<uuid:list_id>/versions/<int:version>/restore/",
        rule_versions.restore,
        name="rule_restore",
    ),
    path("text-rules/<uuid:list_id>/readers/add/", rule_versions.grant, name="rule_grant"),
    path("text-rules/<uuid:list_id>/readers/remove/", rule_versions.revoke, name="rule_revoke"),
]
