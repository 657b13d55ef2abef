//! What the contract of `linkfs-provider` promises, checked on every provider with its emulated drive.
//!
//! A provider takes part with a constructor in `drives` and a line at the end of this file; each case is
//! then a test of its own, named `PROVIDER::CASE`.

#[path = "conformance/drives.rs"]
mod drives;
#[path = "conformance/failures.rs"]
mod failures;
#[path = "conformance/fetching.rs"]
mod fetching;
#[path = "conformance/listing.rs"]
mod listing;
#[path = "conformance/login.rs"]
mod login;
#[path = "conformance/received.rs"]
mod received;
#[path = "conformance/receiving.rs"]
mod receiving;
#[path = "conformance/rig.rs"]
mod rig;
#[path = "conformance/secrecy.rs"]
mod secrecy;
#[path = "conformance/sharing.rs"]
mod sharing;

macro_rules! conformance {
    ($($provider:ident),*) => {
        $(conformance! { @cases $provider:
            listing::every_page_gives_its_items_once,
            listing::changes_between_pages_lose_and_repeat_nothing,
            listing::odd_names_arrive_as_the_drive_has_them,
            listing::stat_tells_what_the_listing_tells,
            listing::what_is_missing_is_not_found,
            listing::usage_is_the_sum_of_the_files,
            listing::the_spaces_of_the_account_are_told,
            fetching::each_file_of_a_batch_has_its_own_answer,
            fetching::a_batch_is_matched_by_id_and_not_by_place,
            fetching::a_link_holds_as_long_as_it_says,
            failures::a_failure_has_its_kind,
            failures::a_throttle_tells_how_long_to_wait,
            failures::a_dropped_call_leaves_the_provider_usable,
            failures::a_hundred_calls_run_at_once,
            login::an_expired_login_is_renewed_once_or_reported,
            login::a_refused_login_is_for_a_person_to_mend,
            login::a_dropped_renewal_leaves_the_provider_usable,
            login::another_start_needs_no_other_login,
            secrecy::nothing_shown_holds_a_credential,
        })*
    };
    (@cases $provider:ident: $($module:ident::$case:ident,)*) => {
        mod $provider {
            $(#[test]
            fn $case() {
                crate::rig::run(crate::$module::$case(crate::drives::$provider));
            })*
        }
    };
}

conformance!(koodrive, pds, dingtalk);

macro_rules! sharing {
    ($($provider:ident),*) => {
        $(conformance! { @cases $provider:
            sharing::a_share_has_an_address_and_its_terms,
            sharing::an_open_share_gets_new_terms_or_stays_as_it_is,
            sharing::a_revoked_share_is_gone_and_may_be_revoked_again,
            sharing::every_page_gives_its_shares_once_and_the_newest_first,
            sharing::terms_that_the_drive_cannot_honour_are_refused_without_a_call,
            sharing::a_share_whose_answer_is_lost_is_not_made_twice,
            sharing::a_share_answered_after_the_callers_deadline_is_not_made_twice,
            sharing::a_throttled_share_tells_how_long_to_wait,
            sharing::a_login_that_ends_between_shares_is_renewed,
        })*
    };
}

macro_rules! access_codes {
    ($($provider:ident),*) => {
        $(conformance! { @cases $provider:
            sharing::an_access_code_is_made_up_where_one_is_wanted,
            sharing::no_access_code_is_shown,
        })*
    };
}

/// The providers that make links for other people, as `shares::PROVIDER::CASE`.
mod shares {
    sharing!(koodrive, pds, dingtalk);
}

/// Those whose links may ask for an access code, as `codes::PROVIDER::CASE`.
mod codes {
    access_codes!(koodrive, pds);
}

/// A share of somebody else as a drive, which PDS alone has.
mod received_shares {
    use crate::{received, rig};

    #[test]
    fn what_is_shared_is_a_drive_and_nothing_else_is() {
        rig::run(received::what_is_shared_is_a_drive_and_nothing_else_is());
    }

    #[test]
    fn tokens_of_the_share_are_renewed() {
        rig::run(received::tokens_of_the_share_are_renewed());
    }

    #[test]
    fn a_share_that_cannot_be_opened_says_why() {
        rig::run(received::a_share_that_cannot_be_opened_says_why());
    }
}

/// What only one drive has.
#[test]
fn a_web_document_has_a_page_and_no_bytes() {
    rig::run(listing::a_web_document_has_a_page_and_no_bytes());
}

#[test]
fn a_received_share_is_saved_and_packed() {
    rig::run(receiving::a_received_share_is_saved_and_packed());
}

#[test]
fn a_received_share_is_a_drive_to_read() {
    rig::run(receiving::a_received_share_is_a_drive_to_read());
}
