//! Which type may stand where another is wanted, and what the open types of a call are thereby found to be.
//!
//! Upstream: cel-go checker/types.go, checker/mapping.go

use crate::types::{Constructor, Type};

/// Types looked at before an expression counts as too complex. A type can name another several times, which names a
/// third several times: written out, such a type is longer than memory. The longest expressions need some 100,000.
const MAX_STEPS: usize = 4_000_000;

/// What the open types were found to be so far.
#[derive(Debug)]
pub(super) struct Unification {
    bindings: Vec<Option<Type>>,
    /// What to undo if the types that are being compared don't go together.
    undo: Vec<(usize, Option<Type>)>,
    steps_left: usize,
}

/// What becomes of types that nothing has been found out about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Stay,
    BecomeDyn,
}

impl Unification {
    pub fn new() -> Unification {
        Unification { bindings: Vec::new(), undo: Vec::new(), steps_left: MAX_STEPS }
    }

    /// A type that is still open.
    pub fn fresh(&mut self) -> Type {
        self.bindings.push(None);
        Type::Variable(self.bindings.len() - 1)
    }

    /// Whether the limit was reached: what was answered since is not to be relied on.
    pub fn is_exhausted(&self) -> bool {
        self.steps_left == 0
    }

    /// Whether each type may stand where its counterpart is wanted; if so, open types are bound.
    pub fn assign(&mut self, given: &[Type], wanted: &[Type]) -> bool {
        self.undo.clear();
        let fits = self.all_fit(given, wanted);
        if !fits {
            while let Some((variable, before)) = self.undo.pop() {
                self.bindings[variable] = before;
            }
        }
        fits
    }

    /// The type with everything in it that is known.
    pub fn resolve(&mut self, of: &Type, open: Open) -> Type {
        if !self.step() {
            return Type::Error;
        }
        match of {
            Type::Variable(variable) => match self.bindings[*variable].clone() {
                Some(bound) => self.resolve(&bound, open),
                None if open == Open::BecomeDyn => Type::Dyn,
                None => of.clone(),
            },
            Type::Compound(compound) => {
                let arguments = compound.arguments.iter().map(|argument| self.resolve(argument, open)).collect();
                Type::compound(compound.constructor, arguments)
            }
            _ => of.clone(),
        }
    }

    fn step(&mut self) -> bool {
        self.steps_left = self.steps_left.saturating_sub(1);
        self.steps_left > 0
    }

    fn all_fit(&mut self, given: &[Type], wanted: &[Type]) -> bool {
        given.len() == wanted.len() && given.iter().zip(wanted).all(|(given, wanted)| self.fits(given, wanted))
    }

    fn fits(&mut self, given: &Type, wanted: &Type) -> bool {
        if !self.step() {
            return false;
        }
        if let Type::Variable(variable) = wanted {
            match self.binds(*variable, given) {
                Binding::Fits => return true,
                Binding::Contradicts => return false,
                // The type it would be bound to contains it; perhaps the other way round.
                Binding::Cycle => {}
            }
        }
        if let Type::Variable(variable) = given {
            return self.binds(*variable, wanted) == Binding::Fits;
        }
        match (given, wanted) {
            (Type::Dyn | Type::Any | Type::Error, _) | (_, Type::Dyn | Type::Any | Type::Error) => true,
            (Type::Null, other) | (other, Type::Null) => is_nullable(other),
            (Type::Compound(given), Type::Compound(wanted)) if given.constructor == wanted.constructor => {
                // A type is a type, whatever it is the type of.
                given.constructor == Constructor::Type || self.all_fit(&given.arguments, &wanted.arguments)
            }
            _ => given == wanted,
        }
    }

    fn binds(&mut self, variable: usize, to: &Type) -> Binding {
        if *to == Type::Variable(variable) {
            return Binding::Fits;
        }
        if let Some(bound) = self.bindings[variable].clone() {
            if bound == *to {
                return Binding::Fits;
            }
            if !self.fits(to, &bound) {
                return Binding::Contradicts;
            }
            // If it is in what is more general than it, it stays what it is: it would consist of itself.
            if is_at_least_as_general(to, &bound) && !self.occurs(variable, to) {
                self.bind(variable, to.clone());
            }
            return Binding::Fits;
        }
        if self.occurs(variable, to) {
            return Binding::Cycle;
        }
        self.bind(variable, to.clone());
        Binding::Fits
    }

    fn bind(&mut self, variable: usize, to: Type) {
        let before = self.bindings[variable].replace(to);
        self.undo.push((variable, before));
    }

    fn occurs(&mut self, variable: usize, within: &Type) -> bool {
        if !self.step() {
            return true;
        }
        match within {
            Type::Variable(other) if *other == variable => true,
            Type::Variable(other) => match self.bindings[*other].clone() {
                Some(bound) => self.occurs(variable, &bound),
                None => false,
            },
            Type::Compound(compound) => compound.arguments.iter().any(|argument| self.occurs(variable, argument)),
            _ => false,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Binding {
    Fits,
    Contradicts,
    Cycle,
}

fn is_nullable(of: &Type) -> bool {
    match of {
        Type::Null | Type::Object(_) | Type::Duration | Type::Timestamp => true,
        Type::Compound(compound) => compound.constructor == Constructor::Optional,
        _ => false,
    }
}

/// Of two types that fit each other, the one that leaves more open.
pub(super) fn more_general(first: Type, second: Type) -> Type {
    if is_at_least_as_general(&first, &second) { first } else { second }
}

fn is_at_least_as_general(first: &Type, second: &Type) -> bool {
    match (first, second) {
        (Type::Dyn | Type::Any | Type::Variable(_), _) => true,
        (_, Type::Dyn | Type::Any | Type::Variable(_)) => false,
        (Type::Compound(first), Type::Compound(second)) => {
            first.constructor == second.constructor
                && (first.constructor == Constructor::Type
                    || first.arguments.iter().zip(&second.arguments).all(|(a, b)| is_at_least_as_general(a, b)))
        }
        _ => first == second,
    }
}
