"""Bad input and faults: a clear answer, nothing lost, nothing sent twice.

Which test shows it for each fault that the installation promises to survive. Faults of whole processes
and stores are tried here; the rest beside the code that answers. ``test_table.py`` keeps the list true.

Pictures
    truncated                       hashing/test_scanning.py::test_a_picture_that_cannot_be_decoded_goes_to_a_person
    truncated, looked up all the same  hashing/test_scanning.py::test_a_broken_picture_is_still_looked_up_by_its_bytes
    huge dimensions                 hashing/test_images.py::test_what_cannot_be_decoded_says_why
    more memory than allowed        hashing/test_images.py::test_memory_beyond_the_limit_is_refused_not_taken
    more time than allowed          hashing/test_images.py::test_time_beyond_the_limit_kills_the_decoder
    wrong type                      hashing/test_images.py::test_what_cannot_be_decoded_says_why
    neither picture nor video       hashing/test_scanning.py::test_what_is_neither_picture_nor_video_is_looked_up_and_shown
    a form that nobody decodes      hashing/test_every_file.py::test_every_file_is_found_by_match_and_what_did_not_look_is_named
    no time, no index, no worker    hashing/test_every_file.py::test_a_video_that_takes_longer_than_an_answer_is_told_by_its_bytes
    wrong type, at the door         reports/test_api_reports.py::test_broken_media_is_taken_so_that_a_person_sees_it
    tries what the sandbox refuses  hashing/test_sandbox.py::test_a_stopped_decoder_becomes_a_flag_and_never_no_match
    takes the decoder over          hashing/test_sandbox.py::test_nothing_is_reached_from_the_decoder
    a sandbox that is not complete  hashing/test_sandbox.py::test_a_decoder_that_misses_something_is_refused_where_all_is_required
    animated                        hashing/test_scanning.py::test_a_listed_picture_inside_an_animation_is_found
    one frame of sixty              hashing/test_scanning.py::test_one_listed_frame_of_sixty_is_found
    more frames than are hashed     hashing/test_scanning.py::test_an_animation_that_was_not_seen_to_its_end_is_partly_scanned
    endless animation               hashing/test_images.py::test_an_endless_animation_is_refused
    zero bytes, by the API          reports/test_api_reports.py::test_an_empty_file_is_named_at_its_field
    a NUL in a part's type          reports/test_api_refusals.py::test_a_type_of_a_part_with_a_nul_is_no_fault_of_ours
    zero bytes, by hand             reports/test_entry_pages.py::test_an_empty_file_is_named_and_the_others_stay
    HEIC, switched off              hashing/test_heic.py::test_it_is_off_and_the_item_says_so_to_a_person
    HEIC, damaged                   hashing/test_heic.py::test_what_the_converter_cannot_read_is_never_no_match
    pictures and films inside it    hashing/test_inside.py::test_what_lies_in_a_file_besides_what_it_shows_is_found
    a picture wherever is room      hashing/test_inside.py::test_a_picture_is_found_wherever_a_file_has_room_for_it
    a JPEG without its end marker   hashing/test_images.py::test_a_jpeg_that_lacks_only_its_end_is_whole_and_one_that_lacks_more_is_damaged
    frames that nobody is shown     hashing/test_inside.py::test_frames_that_a_decoder_passes_over_are_named
    unknown bytes behind its end    hashing/test_inside.py::test_what_was_not_looked_at_is_said_by_scan_match_and_hash
    files in files without end      hashing/test_inside.py::test_one_thing_in_another_without_end_is_looked_at_within_limits
    no preview possible             moderation/test_previews.py::test_a_picture_that_cannot_be_drawn_says_why

Videos
    truncated film                  hashing/test_videos.py::test_a_truncated_video_is_looked_at_as_far_as_it_goes
    cut off, in every container     hashing/test_damaged_videos.py::test_a_whole_film_is_looked_at_to_its_end_and_one_that_was_cut_off_says_so
    a hole in the middle            hashing/test_damaged_videos.py::test_a_film_with_a_hole_is_looked_at_behind_it_too
    frames that are not converted   hashing/test_damaged_videos.py::test_a_frame_that_opencv_could_not_convert_is_never_hashed
    frames that are not written     hashing/test_film_forms.py::test_a_frame_that_was_not_written_is_not_believed_whatever_the_log_says
    memory of another film          hashing/test_film_forms.py::test_an_unwritten_frame_shows_no_memory_of_before
    colours that were turned        hashing/test_film_forms.py::test_a_film_whose_colours_were_turned_into_others_says_so
    times that stand still          hashing/test_film_forms.py::test_a_film_whose_times_stand_still_is_looked_at_all_the_same
    any frame rate                  hashing/test_peers_videos.py::test_every_second_that_a_peer_listed_is_seen
    interlaced, HDR, odd codecs     hashing/test_film_program.py::test_a_film_that_opencv_cannot_show_is_seen_as_its_ordinary_twin_is
    ffmpeg hangs, or sees too much  hashing/test_film_program.py::test_its_limits_of_time_and_pixels_hold
    ffmpeg gives nonsense           hashing/test_film_program.py::test_pixels_that_do_not_fit_their_frame_end_it
    ffmpeg is not there             hashing/test_film_program.py::test_one_that_is_not_there_is_named_at_the_start_and_nothing_is_hidden
    seen in part, and again whole   hashing/test_videos.py::test_what_was_watched_last_counts
    most of it without detail       hashing/test_videos.py::test_a_film_most_of_which_cannot_be_compared_says_so
    frames that an edit list hides  hashing/test_film_program.py::test_frames_that_an_edit_list_leaves_out_are_seen_by_it_too
    cut off within a packet         hashing/test_damaged_videos.py::test_a_transport_stream_that_ends_within_a_packet_is_damaged
    a track of several codecs       hashing/test_damaged_videos.py::test_a_track_of_several_codecs_is_not_passed_over_in_silence
    a track under a false name      hashing/test_damaged_videos.py::test_a_track_of_films_counts_whatever_it_calls_itself
    a second video track            hashing/test_damaged_videos.py::test_a_second_video_track_is_not_passed_over_in_silence
    a lying container               hashing/test_videos.py::test_a_file_that_only_says_it_is_a_video_goes_to_a_person
    longer than allowed             hashing/test_videos.py::test_a_film_beyond_the_limits_is_looked_at_within_them
    too many points a frame         hashing/test_videos.py::test_frames_of_too_many_pixels_are_refused
    no frame at all                 hashing/test_videos.py::test_a_video_without_frames_and_an_empty_file_are_refused
    decoding without end            hashing/test_videos.py::test_a_film_that_takes_too_long_is_ended_and_the_next_one_watched
    a text that calls itself one    hashing/test_hostile_media.py::test_a_text_that_names_other_things_ends_as_could_not_scan
    asks for the server's files     hashing/test_hostile_media.py::test_the_answer_does_not_tell_whether_a_file_is_there
    asks for a network socket       hashing/test_hostile_media.py::test_nothing_is_opened_even_if_the_file_was_taken_for_something_else
    asks for an unused decoder      hashing/test_hostile_media.py::test_a_decoder_that_is_not_on_the_list_never_runs

Lists, exchanges, the index, risk
    a phrase with a line break      hashing/test_phrases.py::test_any_white_space_parts_the_words_of_a_phrase
    any bytes as a list             hashing/test_list_lifecycle.py::test_any_bytes_are_rows_problems_or_a_sentence
    a line break inside a note      hashing/test_tables.py::test_no_row_is_invented_and_none_is_lost
    a quotation mark without end    hashing/test_tables.py::test_a_file_that_cannot_be_read_is_refused_in_words
    a column that retires its row   hashing/test_tables.py::test_what_may_take_a_row_out_of_force_is_never_passed_over
    an export that is imported      hashing/test_tables.py::test_holdfasts_own_export_keeps_retired_entries_retired_and_its_notes
    a cell that is a formula        hashing/test_tables.py::test_no_cell_that_begins_like_a_formula_is_written_bare
    any bytes as links              hashing/test_links.py::test_any_bytes_are_rows_problems_or_refused_with_a_sentence
    a bad row                       hashing/test_list_lifecycle.py::test_one_bad_row_and_nothing_is_kept_unless_the_good_ones_are_wanted
    killed -9 in an import          faults/test_killed_detection.py::test_killed_while_it_reads_a_list
    killed -9 while rating          faults/test_killed_detection.py::test_killed_while_it_rates
    an import that kills workers    hashing/test_list_lifecycle.py::test_an_import_that_kills_every_worker_is_given_up
    an exchange sends garbage       hashing/test_exchange_faults.py::test_garbage
    an exchange never stops         hashing/test_exchange_faults.py::test_an_answer_without_end
    an exchange drips               hashing/test_exchange_faults.py::test_an_answer_that_drips
    an exchange repeats itself      hashing/test_exchanges.py::test_the_same_page_for_ever_is_noticed
    an exchange's unknown values    hashing/test_exchange_records.py::test_values_that_stopncii_is_not_known_for_are_kept_named_and_counted
    stamped as it is fetched        hashing/test_exchange_records.py::test_what_ncmec_stamps_with_the_second_of_a_fetch_stands_in_the_next_window
    an id twice on a page           hashing/test_exchange_records.py::test_an_id_that_repeats_on_a_page_keeps_all_its_digests
    an id on two pages              hashing/test_exchange_records.py::test_an_id_that_is_split_over_two_pages_keeps_all_its_digests
    cut off between these           hashing/test_exchange_records.py::test_an_id_keeps_its_digests_where_the_fetch_is_cut_off_between_two_pages
    a column named twice            hashing/test_tables.py::test_a_heading_that_names_something_twice_is_refused
    retired in the future           hashing/test_tables.py::test_a_retirement_in_the_future_is_refused_at_its_row
    a hyphen that is none           hashing/test_phrases.py::test_a_hyphen_is_a_hyphen_however_it_is_written_or_broken_behind
    invisible between words         hashing/test_phrases.py::test_an_invisible_character_parts_words_or_stands_inside_one
    empty pages without end         hashing/test_exchange_records.py::test_empty_pages_without_end_are_stopped
    an exchange asks to wait        hashing/test_exchange_records.py::test_an_exchange_that_asks_to_be_left_alone_is
    a page is cut off               hashing/test_exchange_records.py::test_a_page_of_stopncii_that_is_cut_off_is_asked_for_in_smaller_ones
    an exchange leads elsewhere     hashing/test_exchange_faults.py::test_a_redirect_is_not_followed
    an index file is deleted        hashing/test_nearby.py::test_a_file_that_is_deleted_under_a_running_worker_stays_readable
    an index file is torn           hashing/test_index.py::test_a_file_cut_short_anywhere_is_refused
    no index at all                 hashing/test_nearby.py::test_a_scan_waits_for_the_index_and_says_so
    two change the weights          hashing/test_risk_cases.py::test_two_people_change_the_weights_and_the_second_is_told

Detectors of others
    a plug-in hangs, breaks, eats   hashing/test_plugins.py::test_whatever_it_does_ends_in_a_flag_with_the_reason
    a plug-in cannot be started     hashing/test_plugins.py::test_one_that_cannot_be_started_says_why_and_cannot_be_turned_on
    a plug-in is gone               hashing/test_plugins.py::test_one_that_is_gone_flags_what_it_would_have_looked_at
    a late answer of a plug-in      hashing/test_plugins.py::test_an_answer_that_nobody_waited_for_is_never_taken_for_the_next_one
    a service answers garbage       hashing/test_external.py::test_what_is_no_answer_is_never_no_match
    a service is away, and back     hashing/test_external.py::test_a_service_that_fails_is_left_alone_and_its_items_are_scanned_when_it_is_back
    a converter came later          hashing/test_heic.py::test_what_came_in_before_it_was_switched_on_is_looked_at_again
    a library moves its inside      accounts/test_totp.py::test_a_kept_secret_and_recovery_codes_are_rows_with_the_fields_that_are_sealed_again
    a model file was changed        hashing/test_nudity.py::test_a_model_file_that_was_changed_is_not_used

Receivers outside
    drips, hangs, 100 Continue      core/test_outbound.py::test_a_receiver_that_drips_or_hangs_gets_its_seconds_and_no_more
    a TLS handshake without end     core/test_outbound.py::test_a_handshake_that_never_ends_is_ended
    hangs while others work         moderation/test_senders.py::test_a_receiver_that_hangs_delays_only_itself
    an answer nobody can record     moderation/test_deliveries.py::test_an_answer_that_cannot_be_recorded_stops_no_other
    fails again and again           moderation/test_senders.py::test_after_five_failures_one_order_is_tried_and_opens_the_way_for_the_others
    held back, named late           moderation/test_senders.py::test_what_waits_for_a_receiver_is_no_late_work_of_the_sender
    a heap of failed routes         moderation/test_routing.py::test_what_failed_is_tried_after_what_is_new
    a name rebound in an exchange   hashing/test_exchange_addresses.py::test_the_checked_address_is_the_one_connected_to
    a resolver that hangs           core/test_outbound.py::test_a_resolver_that_hangs_is_not_waited_for

Reviewers at their windows
    a low window, messages, errors  browser/test_decide_panel.py::test_whatever_the_window_the_decision_is_in_sight_and_nothing_lies_on_it
    a choice that cannot be saved   browser/test_decide_panel.py::test_what_cannot_be_recorded_cannot_be_chosen
    another keyboard layout         browser/test_decide_panel.py::test_from_case_to_case_without_leaving_the_keyboard_and_back_with_all_that_was_said
    confirming without a connection browser/test_decide_panel.py::test_a_decision_without_a_connection_stays_on_the_page_and_a_slow_one_is_sent_once
    a picture below the window      design/test_script.py::test_an_original_is_brought_into_the_window_and_where_half_of_it_has_no_room_it_says_so
    something lies on a picture     design/test_script.py::test_what_is_not_in_the_window_is_not_painted
    the address of a refused form   moderation/test_screens.py::test_an_address_that_only_takes_forms_leads_a_browser_to_the_page_that_has_the_form
    two looks at once               moderation/test_looking.py::test_two_looks_at_once_are_not_longer_than_the_time_that_passed
    a stretch with no room for it   moderation/test_looking.py::test_a_stretch_that_finds_no_room_in_the_time_that_passed_counts_nothing
    a film that a page says is short  moderation/test_looking.py::test_a_film_is_as_long_as_the_scan_measured_it
    an error page that breaks too   moderation/test_screens.py::test_our_own_fault_is_said_in_the_frame_and_without_it_when_that_broke_too

Requests
    100 MB and one byte             reports/test_api_reports.py::test_an_upload_of_100_mb_and_one_byte_is_413_by_default
    over the limit, nothing kept    core/test_uploads.py::test_one_byte_over_the_limit_is_413_in_words_and_nothing_is_kept
    blank lines without end         reports/test_api_refusals.py::test_a_batch_of_blank_lines_is_refused_at_once
    an empty idempotency key        reports/test_api_refusals.py::test_an_empty_idempotency_key_is_refused
    malformed JSON                  reports/test_api_reports.py::test_malformed_json_is_400
    malformed line of a batch       reports/test_api_batches.py::test_bad_lines_are_named_and_good_ones_kept
    unknown ids, pages              test_permissions.py::test_each_role_gets_what_the_matrix_says
    unknown ids, media              reports/test_api_reports.py::test_media_of_another_source_is_unknown
    more than can be looked at      reports/test_admission.py::test_too_much_or_too_long_waiting_takes_nothing_and_says_when_to_come_again
    a source that floods            reports/test_admission.py::test_a_source_that_floods_is_stopped_and_others_are_taken
    forgotten, while it is reported reports/test_erasures.py::test_a_report_that_arrives_meanwhile_comes_before_or_after_and_never_between
    forgotten without a request     reports/test_erasures.py::test_facts_that_are_gone_without_a_request_are_found
    800 small files                 reports/test_many_files.py::test_two_hundred_files_are_one_report_and_one_more_is_told
    a key where none is honoured    reports/test_many_files.py::test_no_write_passes_over_an_idempotency_key
    a key that ends, with notice    reports/test_api_about.py::test_every_answer_to_a_key_that_ends_says_when
    a test key in the live system   moderation/test_practice.py::test_everything_is_apart_from_what_a_live_key_says
    a forged id of practice         moderation/test_practice.py::test_no_live_sender_can_write_an_id_of_practice
    practice that gets old          moderation/test_practice.py::test_old_practice_is_removed_with_lines_and_nothing_else
    expired key                     reports/test_api_keys.py::test_an_expired_key_says_so
    revoked key                     reports/test_api_keys.py::test_a_revoked_key_says_so_and_is_audited
    duplicates in parallel, by key  reports/test_api_idempotency.py::test_ten_at_once_with_one_key_make_one_report
    duplicates in parallel, by id   reports/test_api_idempotency.py::test_ten_at_once_with_one_external_id_make_one_report
    same media in parallel          core/test_vault.py::test_the_same_bytes_from_eight_senders_at_once_are_one_original
    a case of thousands, drafting   referrals/test_large_cases.py::test_drafting_asks_as_much_for_ten_items_as_for_thousands
    a case of thousands, listing    referrals/test_large_cases.py::test_listing_the_media_of_a_case_asks_as_much_for_ten_items_as_for_thousands
    a case of thousands, deciding   referrals/test_large_cases.py::test_deciding_to_remove_all_media_asks_as_much_for_ten_items_as_for_hundreds
    a draft of many exhibits        referrals/test_large_cases.py::test_a_draft_of_many_exhibits_is_written_a_page_at_a_time
    form sent twice                 reports/test_entry_pages.py::test_a_form_sent_twice_is_one_report
    200 half requests               web/test_real_server.py::test_two_hundred_strangers_with_half_a_request_slow_nobody_down
    half a header, half a body      web/test_connections.py::test_half_a_header_and_half_a_body_end_in_words_and_hold_nobody_up
    a body that drips               web/test_connections.py::test_whoever_drips_is_cut_off_and_whoever_is_only_slow_is_not
    a stranger's large body         web/test_real_server.py::test_a_strangers_large_body_is_refused_before_it_is_sent
    a reader who does not read      web/test_connections.py::test_a_reader_who_does_not_read_is_cut_off_and_nothing_is_heaped_up_for_them
    connections without number      web/test_connections.py::test_a_connection_too_many_closes_the_one_that_waits_the_longest
    no host, or two                 web/test_connections.py::test_a_request_names_one_host
    a client that is done sending   web/test_connections.py::test_a_client_that_has_sent_all_and_says_so_gets_its_answer
    lies about a body's length      web/test_connections.py::test_what_cannot_be_read_is_answered_in_words
    bytes above 0x7F, cookie        web/test_real_server.py::test_a_cookie_of_another_application_locks_nobody_out
    bytes above 0x7F, key           web/test_real_server.py::test_an_idempotency_key_in_another_alphabet_is_refused_not_lost
    an upload on a proxy's disk     web/test_real_server.py::test_an_upload_lies_in_no_temporary_file_of_the_proxy
    a token in a proxy's log        web/test_real_server.py::test_the_logs_of_the_proxy_hold_no_token

People
    one adds to what two approved   hashing/test_list_lifecycle.py::test_what_one_person_adds_later_does_not_act_before_two_want_it
    changed under an approval       hashing/test_list_lifecycle.py::test_a_change_between_asking_and_approving_drops_the_request
    another exchange put in place   hashing/test_exchanges.py::test_what_an_exchange_sends_acts_and_another_place_ends_that
    the texts of a classifier       hashing/test_classifiers.py::test_whoever_brought_the_texts_is_not_the_second_person
    a classifier looks at more      hashing/test_classifiers.py::test_one_person_does_not_let_an_approved_version_look_at_more
    risk of subjects without grants hashing/test_risk_cases.py::test_a_lead_without_grants_sees_no_group_and_no_account
    two claimers                    test_concurrency.py::test_of_two_claimers_on_one_case_one_gets_it_and_the_other_is_told_who
    fifty claimers                  test_concurrency.py::test_fifty_claimers_on_a_queue_none_twice_none_lost
    decision after the lease        moderation/test_leases.py::test_a_lease_that_ran_out_decides_nothing
    the lease ends while deciding   test_concurrency.py::test_a_lease_that_runs_out_between_reading_and_deciding_decides_nothing
    sent when the session is over   browser/test_ended_sessions.py::test_a_decision_and_a_note_stand_there_again
    sent, and no answer that takes  design/test_script.py::test_only_an_ordinary_page_after_it_means_that_a_form_was_taken
    V let go as another character   design/test_script.py::test_letting_go_of_the_key_covers_whatever_character_it_gives_by_then
    a score that rises by a verdict hashing/test_risk_cases.py::test_a_confirmed_decision_makes_no_case_about_what_it_decided
    a name that turns its line      moderation/test_strangers.py::test_no_page_lets_a_strangers_name_into_its_own_line
    a name that shows nothing       moderation/test_strangers.py::test_an_invisible_name_is_shown_by_its_code_point_and_its_id
    one decision sent eight times   test_concurrency.py::test_one_form_sent_eight_times_at_once_decides_once
    only the password is known      test_permissions.py::test_a_session_without_a_second_factor_reaches_nothing
    a stolen password, set-up race  accounts/test_own_account.py::test_setting_up_ends_sessions_that_saw_only_the_password
    a stranger guesses passwords    accounts/test_guesses.py::test_a_strangers_wrong_passwords_keep_nobody_out
    strangers guess from everywhere accounts/test_guesses.py::test_guesses_from_everywhere_do_not_hold_back_the_persons_own_browser
    guesses while somebody works    accounts/test_guesses.py::test_nobody_at_work_is_held_back_by_strangers
    an office signs in at once      accounts/test_guesses.py::test_an_office_signs_in_at_once_from_one_address
    guesses while Valkey is away    accounts/test_guesses.py::test_guesses_are_limited_without_valkey_too
    one administrator, two verbs    accounts/test_two_administrators.py::test_after_a_reset_a_password_link_takes_two
    a password link, then a reset   accounts/test_two_administrators.py::test_a_password_that_one_administrator_set_does_not_outlive_a_reset
    a link that outlives a reset    accounts/test_two_administrators.py::test_an_open_password_link_ends
    an agency that is renamed       referrals/test_referral_agency_keys.py::test_a_confirmed_key_does_not_follow_the_agency_to_another_name
    an administrator of one's own   accounts/test_two_administrators.py::test_nobody_makes_an_administrator_alone
    a grant ends in mid-lease       moderation/test_access.py::test_losing_the_permission_ends_the_lease_and_the_view
    a proxy logs search texts       accounts/test_searches.py::test_every_other_form_is_posted
    somebody else's search          accounts/test_searches.py::test_nobody_else_opens_it_and_no_other_page_does
    a proxy logs one-time links     accounts/test_sign_in_browser.py::test_a_one_time_link_fills_itself_in_and_stays_in_no_address
    a key of one's own, approved    referrals/test_referral_agency_keys.py::test_one_person_with_a_key_of_her_own_does_not_get_the_originals
    key withdrawn while approved    referrals/test_referral_races.py::test_a_key_withdrawn_at_the_moment_of_approval_is_never_sealed_to
    a verb without its page         test_guards.py::test_a_verb_called_without_a_view_asks_the_role_in_each_room
    a partner rewrites the directory reports/test_directory_sources.py::test_a_flaggers_key_cannot_rewrite_the_directory
    approver equal to author        referrals/test_referral_approval.py::test_the_author_cannot_approve

Health
    work that waits behind a process that lives  core/test_health.py::test_what_waits_too_long_is_named_with_its_process_everywhere
    schedules without Valkey        core/test_health.py::test_a_schedule_is_kept_by_the_database_also_without_valkey
    a clock put back, schedules     core/test_health.py::test_a_schedule_does_not_wait_for_a_clock_that_was_put_back
    a clock put back, whatever waits  hashing/test_clocks.py::test_whatever_waits_when_the_clock_goes_back_is_due
    a clock put back, receivers     moderation/test_clocks.py::test_a_receiver_is_tried_again_and_a_case_comes_back_in_their_own_time
    a clock put back, sessions      accounts/test_sessions.py::test_a_clock_that_was_put_back_lengthens_no_session_and_no_proof
    rows that nobody measures       core/test_health.py::test_whatever_a_job_does_is_a_stage_or_said_to_be_none
    a clock put back is said        core/test_health.py::test_a_clock_that_was_put_back_is_said
    tables that do not fit          core/test_schema.py::test_no_process_starts_on_a_database_that_does_not_fit
    tables of an edited migration   core/test_schema.py::TestTheTables::test_a_database_from_before_an_edited_migration_is_not_migrated

    a clock put back, work and leases  moderation/test_clocks.py::test_what_was_due_before_the_jump_is_due_after_it
    killed while a list is released  hashing/test_long_work.py::test_batches_put_everything_in_line_once_and_the_page_says_how_far
    the decider's permission ended  moderation/test_deciding.py::test_a_decision_of_somebody_who_lost_the_permission_does_not_take_effect

    a machine lost, restored        runtime/test_restore.py::test_what_was_backed_up_as_the_page_says_is_restored_as_the_page_says
    twelve reports of one picture   moderation/test_things.py::test_twelve_reports_of_one_picture_are_one_order_and_another_id_is_another
    the same bytes many times       referrals/test_exhibits_once.py::test_twelve_reports_of_one_picture_are_one_exhibit_that_names_them
    bytes taken for a viewing       moderation/test_looking.py::test_bytes_that_were_sent_prove_no_viewing
    a viewing longer than the time  moderation/test_looking.py::test_nobody_claims_more_than_the_time_that_passed
    time that another look lends    moderation/test_viewing.py::test_each_look_is_laid_within_its_own_span_and_as_much_as_finds_room
    an animation after a second     moderation/test_looking.py::test_an_animation_is_not_viewed_whole_after_a_second

Packages
    forged in ninety ways           referrals/test_forged_packages.py::test_a_forged_package_fails_the_recipe_and_the_script
    a tool of the officer missing   referrals/test_forged_packages.py::test_a_tool_that_is_missing_ends_it
    a token of a time with a note   referrals/test_forged_packages.py::test_a_token_is_verified_and_nothing_stands_behind_it
    a recipe that was cut off       referrals/test_forged_packages.py::test_a_recipe_that_was_cut_off_verifies_nothing

Full disks
    an upload                       reports/test_full_disk.py::test_an_upload_on_a_full_disk_says_so_leaves_nothing_and_is_taken_later
    little is left                  reports/test_full_disk.py::test_uploads_stop_while_a_database_on_the_same_disk_still_has_room
    the database's disk             reports/test_full_disk.py::test_a_full_database_is_named_and_not_called_unreachable
    in a scan                       reports/test_full_disk.py::test_a_scan_that_meets_a_full_disk_waits_without_an_attempt_and_goes_on
    before a package is built       referrals/test_full_disk.py::test_a_package_waits_for_its_disk_says_so_and_is_built_when_there_is_room
    while a package is built        referrals/test_full_disk.py::test_a_disk_that_fills_up_in_the_middle_of_a_build_costs_no_attempt
    half a file after kill -9       reports/test_full_disk.py::test_what_a_killed_process_left_half_written_is_swept

The record
    an entry dated back             core/test_audit.py::test_entries_that_do_not_fit
    a line of nothing but NULLs     core/test_audit.py::test_entries_that_do_not_fit
    an id of its own choice         core/test_audit.py::test_an_entry_does_not_choose_its_id
    a temporary table in the way    referrals/test_record.py::test_a_temporary_table_is_not_taken_for_the_keys_that_were_confirmed
    rows of a sealed referral       referrals/test_record.py::test_what_belongs_to_a_sealed_referral_stays_as_it_is
    rows changed behind the log     referrals/test_record.py::test_rows_changed_behind_the_log_are_refused_then_named_and_never_sealed
    changed after its approval      referrals/test_record.py::test_a_referral_changed_after_its_approval_is_named_and_never_sealed
    a row that the log does not know  referrals/test_record.py::test_a_row_without_a_line_is_named
    a look that lasted longer       referrals/test_record.py::test_a_look_that_was_closed_behind_the_log_is_named
    any other row changed by SQL     referrals/test_record.py::test_a_row_of_each_kind_that_is_changed_by_sql_is_named
    an end cut off with its head    referrals/test_anchors.py::test_an_end_cut_off_together_with_its_head_is_named
    anchors removed or exchanged    referrals/test_anchors.py::test_what_only_the_store_or_only_the_database_has_is_named
    nights without a worker         referrals/test_anchors.py::test_a_night_without_the_worker_is_caught_up_and_once_a_day_is_enough
    no signing key for anchors      referrals/test_anchors.py::test_a_missing_signing_key_is_said_everywhere_until_it_is_there
    no store for anchors            referrals/test_anchors.py::test_a_store_that_cannot_be_written_is_tried_again
    no answer of the authority      referrals/test_anchors.py::test_an_authority_stamps_the_statement_and_the_stamp_is_checked
    the clock goes back             core/test_audit.py::test_the_time_is_never_before_the_last_entry_and_a_clock_behind_is_marked

What leaves
    a fact with no way out          referrals/test_package_facts.py::test_every_fact_that_is_accepted_leaves_or_is_said_to_be_left_out
    a new column that is forgotten  referrals/test_package_facts.py::test_every_column_is_one_that_the_story_fills_in_or_our_own
    a new shape that is forgotten   referrals/test_package_facts.py::test_the_story_tells_every_shape_that_the_api_takes
    a suspect by default            referrals/test_referral_parts.py::test_nobody_is_a_suspect_until_a_person_says_so
    an incident that nobody said    referrals/test_referral_incident.py::test_what_a_draft_fills_in_is_a_proposal_and_no_approval_is_asked_for_on_it
    a part that nobody said         referrals/test_referral_parts.py::test_the_database_keeps_no_part_that_nobody_said
    a former admin as a present one  referrals/test_referral_parts.py::test_a_former_admin_is_neither_named_nor_handed_over_as_one
    a name that was changed since   referrals/test_package_order.py::test_a_group_is_called_what_it_was_called_when_it_was_reported
    messages without a time         referrals/test_package_order.py::test_messages_stand_in_the_order_in_which_the_sender_listed_them
    a report that waited for its scan  referrals/test_package_order.py::test_a_report_was_received_when_it_came_and_not_when_it_joined_the_case
    a list that is cut              referrals/test_package_order.py::test_whatever_the_summary_cuts_it_says_how_many_more_there_are
    a draft saved unchanged         referrals/test_package_order.py::test_a_draft_that_is_saved_unchanged_stays_what_it_was

Processes and stores
    killed -9 in scan               faults/test_killed_workers.py::test_killed_while_it_scans
    killed -9 in decoding           hashing/test_scanning.py::test_a_worker_killed_while_it_decodes_loses_nothing
    killed -9 in webhook            faults/test_killed_workers.py::test_killed_while_it_sends_a_webhook
    killed -9 before recording it   moderation/test_deliveries.py::test_a_worker_killed_between_sending_and_recording_loses_nothing
    gone between two batches of a replay  moderation/test_notices.py::test_a_worker_that_dies_between_batches_repeats_none
    answers about one order that cross  moderation/test_order_results.py::test_answers_that_cross_leave_one_that_stands
    two leads overturn at once      moderation/test_overturning.py::test_two_leads_at_once_overturn_once
    overturned after the approval   referrals/test_referral_overturned.py::test_only_the_decision_that_was_approved_is_sealed
    reading while it is overturned  moderation/test_overturning.py::test_reading_and_overturning_at_once_leave_no_order_without_counterpart
    decisions in effect at once     moderation/test_orders.py::test_decisions_that_take_effect_at_once_share_no_number
    a form without its token        moderation/test_appeals.py::test_the_form_on_the_page_can_be_sent
    an endpoint that hears nothing  moderation/test_notices.py::test_an_endpoint_that_would_hear_nothing_is_refused
    a span changed after its count  moderation/test_notices.py::test_a_lead_counts_a_span_and_sends_it_again
    the same appeal at once         moderation/test_appeals.py::test_the_same_appeal_at_once_is_one
    a report that kills workers     faults/test_deadly_rows.py::test_a_report_that_kills_whoever_places_it_is_given_up_and_the_others_are_placed
    a decision that kills workers   faults/test_deadly_rows.py::test_a_decision_that_kills_whoever_publishes_it_is_given_up_and_the_others_take_effect
    one bad report among many       moderation/test_routing.py::test_items_whose_scans_ended_together_are_placed_each_for_itself
    killed -9 in package building   faults/test_killed_workers.py::test_killed_while_it_builds_a_package
    builder killed in the middle    referrals/test_referral_building.py::test_a_builder_killed_in_the_middle_is_replaced_and_one_package_remains
    killed -9, any program          runtime/test_up.py::test_a_killed_program_comes_back
    Valkey wiped with work waiting  faults/test_lost_stores.py::test_valkey_wiped_twice_with_thirty_items_waiting
    Valkey hangs                    test_silent_valkey.py::test_reports_are_taken_after_one_wait_and_the_next_at_once
    Valkey hangs, and goes on       test_silent_valkey.py::test_work_wakes_by_itself_when_it_goes_on
    Valkey down                     reports/test_api_keys.py::test_without_valkey_reports_are_still_taken
    PostgreSQL restarted under load faults/test_lost_stores.py::test_postgres_killed_and_restarted_under_load
    PostgreSQL hangs                faults/test_hung_stores.py::test_a_postgres_that_hangs_is_said_in_time_and_work_goes_on_with_it
    every thread hangs              web/test_connections.py::test_threads_that_hang_keep_nobody_waiting_for_ever
    health itself hangs             web/test_connections.py::test_health_that_hangs_itself_is_answered_in_words
    PostgreSQL restarted, training  hashing/test_classifiers.py::test_a_database_that_restarts_in_the_middle_costs_no_attempt
    a session of it ends            reports/test_api_idempotency.py::test_a_connection_that_dies_in_the_middle_is_503_and_the_repeat_succeeds_once
    all its sessions end            faults/test_lost_sessions.py::test_every_process_works_again_after_its_sessions_were_ended
    a web process dies              web/test_real_server.py::test_a_process_that_dies_is_replaced
    stopped with work in hand       web/test_real_server.py::test_it_ends_as_a_service_is_ended_and_whole_requests_are_answered
    a batch of a killed worker      core/test_leases.py::test_what_a_dead_worker_held_is_due_after_a_few_signs_of_life
    a batch whose session ended     hashing/test_scanning.py::test_a_batch_whose_session_the_database_ended_is_due_at_once_and_counts_no_attempt
    two start on one port           runtime/test_port.py::test_of_two_starts_on_one_port_the_second_is_told_before_either_serves
    a flood, tables measured empty  referrals/test_large_cases.py::test_drafting_asks_as_much_for_ten_items_as_for_thousands
    a flooded group, the same       hashing/test_risk_facts.py::test_a_group_that_was_flooded_is_rated_whatever_was_measured_before
    two reports in one form         reports/test_api_refusals.py::test_a_second_report_in_one_form_is_refused_and_not_dropped
    a message that was not sent     moderation/test_conversations.py::test_it_is_in_order_with_its_gaps_and_covered
    a message that comes later      moderation/test_conversations.py::test_what_comes_later_is_put_in_its_place_and_marked
    a place that somebody changes   reports/test_messages.py::test_nobody_changes_a_place_unnoticed
    a video that calls itself sound hashing/test_captions_and_voices.py::test_a_video_that_calls_itself_sound_is_named
    the reporter's own pictures     moderation/test_context.py::test_orders_name_what_is_reported_and_nothing_else
    a leave event, nothing else     reports/test_stays.py::test_a_leave_keeps_who_it_was_and_since_when
    a source that floods            reports/test_scan_turns.py::test_another_sources_report_is_taken_up_with_the_next_batch
    a second host, literally        core/test_identity.py::test_a_second_host_makes_nothing_says_what_to_bring_and_works_with_it
    another key of the same name    core/test_identity.py::test_another_key_of_the_same_name_is_told_from_the_real_one
    an old ring after a rotation    core/test_identity.py::test_a_host_that_still_has_the_old_ring_after_a_rotation_does_not_start
    two first hosts at once         core/test_identity.py::test_two_first_hosts_at_once_make_one_ring
    a turn without a sign of life   core/test_turns.py::test_a_turn_without_a_sign_of_life_is_the_next_ones
    a pooler in the way             core/test_turns.py::test_no_code_holds_a_lock_of_the_session
    a secret's file is missing      runtime/test_given.py::test_a_file_that_cannot_be_used_stops_the_start
    static files while upgrading    runtime/test_static_files.py::test_files_of_the_release_before_stay_beside_the_new_ones
    either store killed             runtime/test_up.py::test_a_killed_store_comes_back
"""
