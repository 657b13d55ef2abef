//! Which roles have to change so that members have what is wanted, and no others what was only given by
//! us.

use std::collections::{BTreeMap, BTreeSet};

use crate::permissions::Change;
use crate::share_book::Given;
use crate::share_terms::{Member, Role};

/// What was given before, and with which role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before<'a> {
    pub(crate) role: Role,
    pub(crate) members: &'a [Given],
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What will have been given.
    pub(crate) given: Vec<Given>,
    /// Taking comes before giving, so that a plan that breaks off leaves less than was wanted.
    pub(crate) steps: BTreeMap<(Order, Role), Vec<Member>>,
}

/// A change, by when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    Take,
    Alter,
    Give,
}

impl Order {
    pub(crate) fn change(self) -> Change {
        match self {
            Order::Take => Change::Take,
            Order::Alter => Change::Alter,
            Order::Give => Change::Give,
        }
    }
}

impl<'a> Before<'a> {
    fn given(&self, member: &Member) -> Option<&'a Given> {
        self.members.iter().find(|given| given.member == *member)
    }

    /// Whether a role is as we have left it: what somebody else has made of it since is theirs.
    fn is_ours(&self, given: &Given, now: Role) -> bool {
        Some(now) == given.before.max(Some(self.role))
    }
}

/// The way from `before` to all of `wanted` with `role`; `now` is what everyone has.
pub(crate) fn plan(
    before: Option<Before<'_>>,
    role: Role,
    wanted: &BTreeSet<Member>,
    now: &BTreeMap<Member, Role>,
) -> Plan {
    let mut plan = Plan::default();
    for member in wanted {
        plan.reach(member, role, before, now.get(member).copied());
    }
    let dropped = before.into_iter().flat_map(|before| {
        let dropped = before.members.iter();
        dropped.map(move |given| (before, given))
    });
    for (before, given) in dropped.filter(|(_, given)| !wanted.contains(&given.member)) {
        if let Some(now) = now.get(&given.member) {
            plan.undo(before, given, *now);
        }
    }
    plan
}

impl Plan {
    /// Gives a member at least `role`. Who could do more without us can do so still.
    fn reach(
        &mut self,
        member: &Member,
        role: Role,
        before: Option<Before<'_>>,
        now: Option<Role>,
    ) {
        let given = before.and_then(|before| Some((before, before.given(member)?)));
        let was = match given {
            Some((_, given)) => given.before,
            None => now,
        };
        let is_ours = |now| given.is_some_and(|(before, given)| before.is_ours(given, now));
        match now {
            None => self.step(Order::Give, role, member),
            Some(now) => {
                let target = was.map_or(role, |was| was.max(role));
                if now < target || (now > target && is_ours(now)) {
                    self.step(Order::Alter, target, member);
                }
            }
        }
        self.given.push(Given {
            member: member.clone(),
            before: was.filter(|_| now.is_some()),
        });
    }

    /// Leaves a member what it had without us.
    fn undo(&mut self, before: Before<'_>, given: &Given, now: Role) {
        match given.before {
            None => self.step(Order::Take, now, &given.member),
            Some(was) if was != now && before.is_ours(given, now) => {
                self.step(Order::Alter, was, &given.member);
            }
            Some(_) => {}
        }
    }

    fn step(&mut self, order: Order, role: Role, member: &Member) {
        let members = self.steps.entry((order, role)).or_default();
        members.push(member.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> Member {
        Member {
            kind: "USER".into(),
            id: id.into(),
        }
    }

    /// One member: what it had without us, if it is one of ours who were given `old`; what it has now;
    /// what is wanted. Then what is done.
    fn check(
        ours: Option<(Role, Option<Role>)>,
        now: Option<Role>,
        wanted: Option<Role>,
        expected: Option<(Order, Role)>,
    ) {
        let members: Vec<Given> = ours
            .iter()
            .map(|(_, before)| Given {
                member: user("u1"),
                before: *before,
            })
            .collect();
        let before = ours.map(|(role, _)| Before {
            role,
            members: &members,
        });
        let names: BTreeSet<_> = wanted.iter().map(|_| user("u1")).collect();
        let now: BTreeMap<_, _> = now.iter().map(|role| (user("u1"), *role)).collect();
        let plan = plan(before, wanted.unwrap_or(Role::Reader), &names, &now);
        let steps: Vec<_> = plan.steps.keys().copied().collect();
        assert_eq!(
            steps,
            Vec::from_iter(expected),
            "{ours:?} {now:?} {wanted:?}"
        );
        assert_eq!(plan.given.len(), names.len());
    }

    use Order::{Alter, Give, Take};
    use Role::{Downloader, Editor, Manager, Reader};

    #[test]
    fn members_get_what_they_lack() {
        check(None, None, Some(Reader), Some((Give, Reader)));
        check(None, Some(Reader), Some(Editor), Some((Alter, Editor)));
        check(None, Some(Reader), Some(Reader), None);
        check(None, Some(Manager), Some(Reader), None);
    }

    #[test]
    fn what_was_ours_follows_the_new_terms() {
        let ours = Some((Editor, None));
        check(ours, Some(Editor), Some(Reader), Some((Alter, Reader)));
        check(ours, Some(Editor), Some(Editor), None);
        check(ours, Some(Manager), Some(Reader), None);
        check(ours, None, Some(Reader), Some((Give, Reader)));
        let raised = Some((Editor, Some(Downloader)));
        check(
            raised,
            Some(Editor),
            Some(Reader),
            Some((Alter, Downloader)),
        );
    }

    #[test]
    fn what_was_ours_is_taken_and_what_was_not_stays() {
        check(
            Some((Reader, None)),
            Some(Reader),
            None,
            Some((Take, Reader)),
        );
        check(
            Some((Reader, None)),
            Some(Editor),
            None,
            Some((Take, Editor)),
        );
        check(Some((Reader, None)), None, None, None);
        let raised = Some((Editor, Some(Reader)));
        check(raised, Some(Editor), None, Some((Alter, Reader)));
        check(raised, Some(Manager), None, None);
        check(Some((Reader, Some(Manager))), Some(Manager), None, None);
        check(None, Some(Reader), None, None);
    }

    #[test]
    fn taking_comes_before_giving() {
        let members = [Given {
            member: user("u1"),
            before: None,
        }];
        let before = Before {
            role: Reader,
            members: &members,
        };
        let now = BTreeMap::from([(user("u1"), Reader), (user("u3"), Reader)]);
        let wanted = BTreeSet::from([user("u2"), user("u3")]);
        let plan = plan(Some(before), Editor, &wanted, &now);
        let order: Vec<_> = plan.steps.keys().map(|(order, _)| *order).collect();
        assert_eq!(order, [Take, Alter, Give]);
        let before: Vec<_> = plan.given.iter().map(|given| given.before).collect();
        assert_eq!(before, [None, Some(Reader)]);
    }
}
