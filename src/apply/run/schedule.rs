//! Which step of a plan comes next, where several may be worked on at once. Knows neither threads nor the machine.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// A step, as far as its turn depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Earlier steps that have to be over before, however they end.
    pub waits: Vec<usize>,
    /// How it is carried out.
    pub manner: Manner,
    /// Of those with the same number here, one is worked on at a time.
    pub lane: Option<usize>,
    /// What the work will cost, in any unit.
    pub cost: u64,
}

/// How a step is carried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Manner {
    /// Here and now.
    #[default]
    Quick,
    /// Here, and it takes some seconds, in which nothing else can be begun.
    Slow,
    /// It has work that somebody else does.
    Long,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not begun.
    Waiting,
    /// Somebody works on it.
    Working,
    /// The work has ended, and is to be put in place.
    Worked,
    /// Carried out, failed or left out.
    Over,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Carry this step out, here.
    Here(usize),
    /// Have this step worked on.
    Begin(usize),
    /// Wait until some work has ended.
    Wait,
    /// All steps are over.
    End,
}

/// The steps, and how far each is.
#[derive(Debug)]
pub(super) struct Schedule {
    nodes: Vec<Node>,
    states: Vec<State>,
    /// Of each step, how many of those that it waits for are not over.
    open: Vec<usize>,
    /// Of each step, those that wait for it.
    followers: Vec<Vec<usize>>,
    /// Of each step, the cost of the dearest way from its beginning to the end.
    rank: Vec<u64>,
    /// Steps that wait for nothing any more, and are not begun.
    ready: BTreeSet<usize>,
    working: usize,
    worked: usize,
    /// Steps with work that are not begun.
    unbegun: usize,
    busy: BTreeSet<usize>,
    at_once: usize,
}

impl Schedule {
    /// At most `at_once` steps are worked on at once. With one, the order is that of the steps.
    pub(super) fn new(nodes: Vec<Node>, at_once: usize) -> Self {
        let mut followers = vec![Vec::new(); nodes.len()];
        for (step, node) in nodes.iter().enumerate() {
            for before in &node.waits {
                debug_assert!(*before < step, "{step} waits for {before}");
                followers[*before].push(step);
            }
        }
        let mut rank: Vec<u64> = nodes.iter().map(|node| node.cost).collect();
        for step in (0..nodes.len()).rev() {
            let dearest = followers[step].iter().map(|after| rank[*after]).max();
            rank[step] = rank[step].saturating_add(dearest.unwrap_or(0));
        }
        let open: Vec<usize> = nodes.iter().map(|node| node.waits.len()).collect();
        let ready = open.iter().enumerate().filter(|(_, open)| **open == 0).map(|(step, _)| step).collect();
        let states = vec![State::Waiting; nodes.len()];
        let unbegun = nodes.iter().filter(|node| node.manner == Manner::Long).count();
        let (working, worked, busy, at_once) = (0, 0, BTreeSet::new(), at_once.max(1));
        Self { nodes, states, open, followers, rank, ready, working, worked, unbegun, busy, at_once }
    }

    /// What is to be done now.
    pub(super) fn next(&self) -> Next {
        if self.at_once == 1 && self.working + self.worked > 0 {
            return Next::Wait;
        }
        let chosen = if self.at_once == 1 { self.ready.first().copied() } else { self.choose() };
        match chosen {
            Some(step) if self.nodes[step].manner == Manner::Long => Next::Begin(step),
            Some(step) => Next::Here(step),
            None if self.working + self.worked > 0 => Next::Wait,
            None => Next::End,
        }
    }

    /// Whether it is better to begin `step` than to put first in place what `worked` made: unless something that waits
    /// for that comes before `step`.
    pub(super) fn comes_before(&self, step: usize, worked: usize) -> bool {
        let after = self.rank[worked].saturating_sub(self.nodes[worked].cost);
        self.rank[step] >= after
    }

    /// Work first, what the rest of the plan waits for longest before the rest. Then what is done here, in the order of
    /// the plan. What is slow waits while there is work to be begun as soon as some other has ended.
    fn choose(&self) -> Option<usize> {
        let long = |step: &&usize| self.nodes[**step].manner == Manner::Long;
        let may = |step: &&usize| self.nodes[**step].lane.is_none_or(|lane| !self.busy.contains(&lane));
        let begin = || {
            let could = self.ready.iter().filter(long).filter(may);
            could.max_by_key(|step| (self.rank[**step], Reverse(**step)))
        };
        let begin = (self.working < self.at_once).then(begin).flatten();
        let here = || {
            let idle = self.working + self.worked == 0 || self.unbegun == 0;
            let most = if idle { Manner::Slow } else { Manner::Quick };
            let here = self.ready.iter().filter(|step| self.nodes[**step].manner <= most);
            here.min_by_key(|step| (self.nodes[**step].manner, **step))
        };
        begin.or_else(here).copied()
    }

    /// Says how far a step is.
    pub(super) fn set(&mut self, step: usize, state: State) {
        let before = std::mem::replace(&mut self.states[step], state);
        debug_assert!(
            matches!(
                (before, state),
                (State::Waiting, State::Working | State::Over)
                    | (State::Working, State::Worked | State::Over)
                    | (State::Worked, State::Over)
            ),
            "step {step} from {before:?} to {state:?}"
        );
        self.ready.remove(&step);
        self.unbegun -= usize::from(before == State::Waiting && self.nodes[step].manner == Manner::Long);
        let lane = self.nodes[step].lane;
        self.working -= usize::from(before == State::Working);
        self.working += usize::from(state == State::Working);
        self.worked -= usize::from(before == State::Worked);
        self.worked += usize::from(state == State::Worked);
        if state == State::Working {
            self.busy.extend(lane);
        }
        if state == State::Over {
            if let Some(lane) = lane.filter(|_| before != State::Waiting) {
                self.busy.remove(&lane);
            }
            for after in &self.followers[step] {
                self.open[*after] -= 1;
                if self.open[*after] == 0 {
                    self.ready.insert(*after);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn long(waits: &[usize], cost: u64) -> Node {
        Node { waits: waits.to_vec(), manner: Manner::Long, lane: None, cost }
    }

    fn quick(waits: &[usize]) -> Node {
        Node { waits: waits.to_vec(), ..Node::default() }
    }

    fn begun(schedule: &mut Schedule) -> Vec<usize> {
        let mut begun = Vec::new();
        while let Next::Begin(step) = schedule.next() {
            schedule.set(step, State::Working);
            begun.push(step);
        }
        begun
    }

    #[test]
    fn one_after_another_is_the_order_of_the_plan() {
        let nodes = vec![long(&[], 1), quick(&[0]), long(&[], 9), quick(&[2]), quick(&[])];
        let mut schedule = Schedule::new(nodes, 1);
        for step in 0..5 {
            match schedule.next() {
                Next::Begin(next) => {
                    assert_eq!(next, step);
                    schedule.set(step, State::Working);
                    assert_eq!(schedule.next(), Next::Wait);
                }
                next => assert_eq!(next, Next::Here(step)),
            }
            schedule.set(step, State::Over);
        }
        assert_eq!(schedule.next(), Next::End);
    }

    #[test]
    fn what_most_waits_for_begins_first() {
        // 0 is short, and 3, which is long, waits for it.
        let nodes = vec![long(&[], 1), long(&[], 5), long(&[], 4), long(&[0], 9)];
        let mut schedule = Schedule::new(nodes, 2);
        assert_eq!(begun(&mut schedule), [0, 1]);
        schedule.set(1, State::Over);
        assert_eq!(begun(&mut schedule), [2]);
        schedule.set(0, State::Over);
        assert_eq!(begun(&mut schedule), [3]);
    }

    #[test]
    fn quick_steps_do_not_wait_for_slow_ones_nor_work_for_either() {
        let slow = Node { manner: Manner::Slow, ..Node::default() };
        let mut schedule = Schedule::new(vec![slow, quick(&[]), long(&[], 1)], 2);
        assert_eq!(schedule.next(), Next::Begin(2));
        schedule.set(2, State::Working);
        assert_eq!(schedule.next(), Next::Here(1));
        schedule.set(1, State::Over);
        assert_eq!(schedule.next(), Next::Here(0));
        schedule.set(0, State::Over);
        assert_eq!(schedule.next(), Next::Wait);
    }

    #[test]
    fn slow_steps_wait_while_there_is_work_to_be_begun() {
        let slow = Node { manner: Manner::Slow, ..Node::default() };
        let lane = Node { lane: Some(0), ..long(&[], 1) };
        let mut schedule = Schedule::new(vec![slow, lane.clone(), lane], 2);
        assert_eq!(begun(&mut schedule), [1]);
        assert_eq!(schedule.next(), Next::Wait, "it would keep the other one from being begun");
        schedule.set(1, State::Over);
        assert_eq!(begun(&mut schedule), [2]);
        assert_eq!(schedule.next(), Next::Here(0));
    }

    #[test]
    fn another_begins_before_a_result_is_put_in_place_unless_more_waits_for_that() {
        // 3 waits for 0, and is dearer than 2.
        let nodes = vec![long(&[], 1), long(&[], 5), long(&[], 4), long(&[0], 9)];
        let mut schedule = Schedule::new(nodes, 2);
        assert_eq!(begun(&mut schedule), [0, 1]);
        schedule.set(1, State::Worked);
        assert_eq!(schedule.next(), Next::Begin(2));
        assert!(schedule.comes_before(2, 1));
        schedule.set(0, State::Worked);
        assert!(!schedule.comes_before(2, 0));
        schedule.set(0, State::Over);
        assert_eq!(begun(&mut schedule), [3, 2]);
        assert_eq!(schedule.next(), Next::Wait);
    }

    #[test]
    fn those_of_one_lane_take_turns() {
        let lane = |lane| Node { lane: Some(lane), ..long(&[], 1) };
        let mut schedule = Schedule::new(vec![lane(7), lane(7), lane(8)], 3);
        assert_eq!(begun(&mut schedule), [0, 2]);
        schedule.set(2, State::Over);
        assert_eq!(schedule.next(), Next::Wait);
        schedule.set(0, State::Over);
        assert_eq!(begun(&mut schedule), [1]);
    }

    /// Any plan: what it waits for is earlier.
    fn plans() -> impl Strategy<Value = Vec<Node>> {
        let manner = prop_oneof![Just(Manner::Quick), Just(Manner::Slow), Just(Manner::Long)];
        let step =
            (manner, proptest::option::of(0..3usize), 0..9u64, proptest::collection::vec(any::<u8>(), 0..3));
        proptest::collection::vec(step, 0..24).prop_map(|steps| {
            let node = |(at, (manner, lane, cost, waits)): (usize, (_, _, _, Vec<u8>))| {
                let waits: BTreeSet<usize> =
                    waits.into_iter().filter(|_| at > 0).map(|n| usize::from(n) % at.max(1)).collect();
                Node { waits: waits.into_iter().collect(), manner, lane, cost }
            };
            steps.into_iter().enumerate().map(node).collect()
        })
    }

    proptest! {
        /// Whatever ends first: each step comes once, after all that it waits for, never two of a lane at once, never
        /// more than allowed; and the schedule comes to its end.
        #[test]
        fn every_order_keeps_the_rules(
            nodes in plans(),
            at_once in 1..5usize,
            mut ends in proptest::collection::vec(any::<u8>(), 64),
        ) {
            let mut schedule = Schedule::new(nodes.clone(), at_once);
            let (mut over, mut working): (BTreeSet<usize>, Vec<usize>) = Default::default();
            let mut begun = BTreeSet::new();
            let mut worked: Vec<usize> = Vec::new();
            for _ in 0..=4 * nodes.len() {
                let next = schedule.next();
                if let Next::Here(step) | Next::Begin(step) = next {
                    prop_assert!(begun.insert(step), "{step} twice");
                    prop_assert!(nodes[step].waits.iter().all(|before| over.contains(before)));
                    prop_assert!(at_once > 1 || working.is_empty() && over.iter().all(|o| *o < step));
                }
                match next {
                    Next::Here(step) => {
                        prop_assert!(nodes[step].manner != Manner::Long);
                        schedule.set(step, State::Over);
                        over.insert(step);
                    }
                    Next::Begin(step) => {
                        prop_assert!(nodes[step].manner == Manner::Long && working.len() < at_once);
                        let lane = nodes[step].lane;
                        let mut others = working.iter().chain(&worked);
                        prop_assert!(lane.is_none() || others.all(|other| nodes[*other].lane != lane));
                        prop_assert!(at_once > 1 || worked.is_empty());
                        // A step whose need failed is over at once.
                        if ends.pop().unwrap_or(0) % 4 == 0 {
                            schedule.set(step, State::Over);
                            over.insert(step);
                        } else {
                            schedule.set(step, State::Working);
                            working.push(step);
                        }
                    }
                    Next::Wait if worked.is_empty() => {
                        prop_assert!(!working.is_empty());
                        let ended = working.swap_remove(usize::from(ends.pop().unwrap_or(0)) % working.len());
                        schedule.set(ended, State::Worked);
                        worked.push(ended);
                    }
                    Next::Wait => {
                        let ended = worked.swap_remove(usize::from(ends.pop().unwrap_or(0)) % worked.len());
                        schedule.set(ended, State::Over);
                        over.insert(ended);
                    }
                    Next::End => break,
                }
            }
            prop_assert_eq!(over.len(), nodes.len());
        }
    }
}
