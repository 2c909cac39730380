//! Expressions and what they cost, as upstream's own tests have it (cel-go checker/cost_test.go,
//! apiserver/pkg/cel/library/cost_test.go, apiextensions schema/cel/compilation_test.go,
//! dynamic-resource-allocation/cel/compile_test.go).

use super::*;
use crate::{Environment, compile};

fn characters(max: u64) -> Bounds {
    Bounds { max, ..Bounds::default() }
}

fn list(max: i64, elements: Bounds) -> Bounds {
    Bounds::list(elements, Some(max))
}

fn cost(source: &str, environment: &Environment, bounds_of: &dyn Fn(&str) -> Option<&'static Bounds>) -> Range {
    let checked = compile(source, environment).unwrap_or_else(|mistakes| panic!("{source}: {mistakes}"));
    let checked: &'static Checked = Box::leak(Box::new(checked));
    estimate(checked, bounds_of)
}

/// Checks expressions about variables, each with its type and, where it has one, its bounds.
fn check(variables: Vec<(&str, Type, Option<Bounds>)>, expected: &[(&str, u64, u64)]) {
    let mut environment = Environment::new().with_bindings();
    let mut bounds: Vec<(String, &'static Bounds)> = Vec::new();
    for (name, of, bound) in variables {
        environment = environment.with(name, of);
        bounds.extend(bound.map(|bound| (name.to_owned(), &*Box::leak(Box::new(bound)))));
    }
    let bounds_of = |name: &str| bounds.iter().find(|(known, _)| known == name).map(|(_, bounds)| *bounds);
    for &(source, min, max) in expected {
        assert_eq!(cost(source, &environment, &bounds_of), Range { min, max }, "{source}");
    }
}

#[test]
fn literals_cost_nothing_and_operators_cost_one() {
    check(
        vec![],
        &[
            ("'Hello World!'", 0, 0),
            ("[1, 2, 3]", 10, 10),
            ("{'a': 1, 'b': 2, 'c': 3}", 30, 30),
            ("true || false", 0, 0),
            ("true && false", 0, 0),
            ("1 < 2", 1, 1),
            ("1 <= 2", 1, 1),
            ("1 == 2", 1, 1),
            ("2 > 1", 1, 1),
            ("2 >= 1", 1, 1),
            ("2 in [1, 2, 3]", 13, 13),
            ("1 + 1", 1, 1),
            ("1 - 1", 1, 1),
            ("1 / 1", 1, 1),
            ("1 * 1", 1, 1),
            ("1 % 1", 1, 1),
            ("true ? 1 : 2", 0, 0),
            ("size('123')", 1, 1),
            ("string(1)", 1, 1),
            ("((5 != 6) == (1 == 2)) == ((3 <= 4) == (9 != 9))", 7, 7),
            ("'123'.matches('[0-9]')", 2, 2),
            ("matches('1234567890123', '[0-9]')", 1, 1),
            ("type(1)", 1, 1),
            ("{'hello': 'hi'}['hello'] != {'hello': 'bye'}['hello']", 63, 63),
            ("['hello', 'hi'][0] != ['hello', 'bye'][1]", 23, 23),
            ("[[1,2],[1,2],[1,2],[1,2],[1,2]][4]", 61, 61),
            ("{'a': [1,2], 'b': [1,2], 'c': [1,2], 'd': [1,2], 'e': [1,2]}.b", 81, 81),
        ],
    );
}

#[test]
fn looking_at_variables_and_fields_costs_one_each() {
    let object = || Type::object("test", [("a".to_owned(), Type::Int)]);
    check(
        vec![
            ("input", object(), None),
            ("map", Type::map(Type::String, Type::String), None),
            ("maps", Type::map(Type::String, Type::map(Type::String, object())), None),
            ("a", Type::Bool, None),
            ("b", Type::Bool, None),
            ("c", Type::Bool, None),
            ("d", Type::Bool, None),
            ("t1", Type::Timestamp, None),
            ("t2", Type::Timestamp, None),
            ("authorizer.requestResource", Type::Double, None),
        ],
        &[
            ("input", 1, 1),
            ("input.a", 2, 2),
            ("map['key']", 2, 2),
            ("has(input.a)", 1, 1),
            ("has(maps.a.b)", 2, 2),
            ("a || b || c || d", 1, 4),
            ("a && b && c && d", 1, 4),
            ("t1 == t2", 3, 3),
            ("string(t1) == string(t2)", 5, 1_844_674_407_370_955_268),
            ("authorizer.requestResource == 1.0", 2, 2),
        ],
    );
}

#[test]
fn texts_cost_as_long_as_they_may_be() {
    check(
        vec![
            ("input", Type::String, Some(characters(500))),
            ("arg1", Type::String, Some(characters(500))),
            ("bytes1", Type::Bytes, Some(characters(500))),
            ("str1", Type::String, Some(characters(10))),
            ("str2", Type::String, Some(characters(10))),
            ("unknown", Type::String, None),
        ],
        &[
            ("input.matches('[0-9]')", 3, 103),
            (r"input.matches('\\d+a\\d+b')", 3, 103),
            ("string(bytes1)", 1, 51),
            ("string(bytes1) == string(bytes1)", 3, 152),
            ("bytes(input)", 1, 51),
            ("bytes(input) == bytes(input)", 3, 302),
            ("input.contains(arg1)", 2, 2502),
            ("unknown.startsWith(arg1)", 2, 52),
            ("unknown.endsWith(arg1)", 2, 52),
            ("unknown.size()", 2, 2),
            ("size(unknown)", 2, 2),
            ("'abcdefg'.contains(str1 + str2)", 2, 6),
            ("unknown.endsWith('abcdefghijklmnopqrstuvwxyz') == unknown.endsWith('abcdefghijklmnopqrstuvwxyz')", 9, 9),
        ],
    );
}

#[test]
fn macros_cost_as_much_as_there_are_elements() {
    let object = || Type::object("test", [("a".to_owned(), Type::Int)]);
    check(
        vec![
            ("input", Type::list(object()), Some(list(100, Bounds::default()))),
            ("nested", Type::list(Type::list(object())), Some(list(50, list(10, Bounds::default())))),
            ("x", Type::Int, None),
            ("y", Type::Int, None),
            ("input1", Type::list(object()), Some(list(1, Bounds::default()))),
            ("input2", Type::list(object()), Some(list(1, Bounds::default()))),
            ("list1", Type::list(Type::Int), Some(list(10, Bounds::default()))),
            ("list2", Type::list(Type::Int), Some(list(20, Bounds::default()))),
            ("texts", Type::list(Type::String), Some(list(5, characters(10)))),
            ("texts1", Type::list(Type::String), Some(list(10, characters(64)))),
            ("texts2", Type::list(Type::String), Some(list(20, characters(128)))),
        ],
        &[
            ("input.all(x, true)", 2, 302),
            ("nested.all(x, x.all(y, true))", 2, 1752),
            ("[1, 2, 3].all(x, true)", 20, 20),
            ("(x > 2 ? input1 : input2).all(y, true)", 4, 7),
            ("(list1 + list1).all(x, true)", 4, 64),
            ("list1.size() == list2.size()", 5, 5),
            ("x > y ? list1.size() : list2.size()", 5, 5),
            ("([x, y] + list1 + list2).size()", 17, 17),
            ("[texts1, texts2].exists(l, l.exists(v, v.startsWith('hi')))", 21, 265),
            ("[1,2,3,4,5].filter(x, x % 2 == 0)", 41, 101),
            ("[1,2,3,4,5].map(x, x)", 86, 86),
            ("[1,2,3,4,5].map(x, x).filter(x, x % 2 == 0)", 117, 177),
            ("[1,2,3,4,5].map(x, x).exists(x, x == 5) == true", 108, 118),
            ("[1,2,3,4,5].map(x, x).map(x, x)", 162, 162),
            ("[1,2,3,4,5].map(x, x)[4]", 87, 87),
            ("[1,2,3,4,5].map(x, [x, x]).all(y, y.all(y, y == 1))", 157, 217),
            ("['a', 'ab', 'abc', 'abcd', 'abcde'].map(x, [x, x]).all(y, y.all(y, y.startsWith('a')))", 157, 217),
            ("texts.map(x, [x, x]).all(y, y.all(y, y.startsWith('a')))", 13, 208),
            ("[1,2,3,4,5].map(x, x).map(x, x) + [1]", 173, 173),
            ("[1,2,3].all(i, i in [1,2,3].map(j, j + j))", 20, 230),
            ("dyn([1,2,3]).all(i, i in dyn([1,2,3]).map(j, j + j))", 21, 234),
        ],
    );
}

#[test]
fn what_is_known_only_when_evaluated_costs_what_it_may_turn_out_to_be() {
    check(
        vec![("d", Type::Dyn, None)],
        &[
            ("dyn('123456789012345678901234567890') + dyn('')", 3, 5),
            ("dyn('123456789012345678901234567890') + 'a'", 5, 5),
            ("bytes(dyn('123456789012345678901234567890'))", 2, 4),
            ("string(dyn(b'123456789012345678901234567890'))", 2, 4),
            ("1 in dyn([1, 2, 3])", 12, 14),
            ("1 in dyn({1: 2})", 32, 32),
            ("cidr('192.168.0.0/16').containsIP(dyn('192.169.169.250'))", 4, 9),
            ("d + 1", 2, 2),
            ("d < 1", 2, 2),
            ("d[0]", 2, 2),
        ],
    );
}

#[test]
fn macros_over_maps_go_through_keys() {
    let object = || Type::object("test", [("a".to_owned(), Type::Int)]);
    let maps = |max, keys, values| Bounds::map_of(characters(keys), characters(values), max);
    let of = || Type::map(Type::String, Type::map(Type::String, object()));
    check(
        vec![
            ("objects", Type::map(Type::String, object()), Some(maps(10, 0, 0))),
            ("of_ten", of(), Some(maps(5, 0, 10))),
            ("by_ten", of(), Some(maps(5, 10, 0))),
            ("of_two_by_five", of(), Some(maps(2, 5, 2))),
        ],
        &[
            ("objects.all(k, objects[k].a > 3)", 2, 82),
            ("of_ten.all(k, of_ten[k].all(x, true))", 2, 187),
            ("by_ten.all(k, k.contains(k))", 2, 32),
            ("of_two_by_five.all(k, of_two_by_five[k].all(k, true) && k.contains(k))", 2, 34),
        ],
    );
}

#[test]
fn functions_of_kubernetes_have_costs_of_their_own() {
    let authorizer = Type::closed("kubernetes.authorization.Authorizer");
    check(
        vec![("authorizer", authorizer, None), ("texts", Type::list(Type::String), Some(list(5, characters(12))))],
        &[
            ("[1, 2, 3, 4, 5].sum()", 15, 15),
            ("[uint(1), uint(2), uint(3), uint(4), uint(5)].sum()", 20, 20),
            ("[1.0, 2.0, 3.0, 4.0, 5.0].isSorted()", 15, 15),
            ("[false, true, false, true, false].max()", 15, 15),
            ("texts.min()", 1, 16),
            ("[1, 2, 3, 4, 5].indexOf(3)", 15, 15),
            ("texts.lastIndexOf('x')", 1, 16),
            ("'01234567890123456789012345678901234567890123456789'.indexOf('123')", 5, 5),
            ("url('https:://kubernetes.io/').getScheme()", 4, 4),
            ("url('https:://kubernetes.io/') == url('https:://kubernetes.io/')", 7, 9),
            ("url('https:://kubernetes.io/') == url('http://x.b')", 5, 5),
            ("ip('192.168.0.1')", 2, 2),
            ("ip('2001:db8:3333:4444:5555:6666:7777:8888')", 4, 4),
            ("ip('192.168.0.1').family()", 3, 3),
            ("ip('192.168.0.1') == ip('192.168.0.1')", 5, 5),
            ("ip.isCanonical('192.168.0.1')", 3, 3),
            ("ip.isCanonical('2001:db8:3333:4444:5555:6666:7777:8888')", 8, 8),
            ("cidr('192.168.0.0/16').ip()", 3, 3),
            ("cidr('192.168.0.0/16') == cidr('2001:db8::/32')", 5, 5),
            ("cidr('192.168.0.0/16').containsCIDR(cidr('192.0.0.0/30'))", 7, 11),
            ("cidr('192.168.0.0/16').containsCIDR('192.0.0.0/30')", 7, 11),
            ("cidr('192.168.0.0/16').containsIP(ip('192.0.0.1'))", 4, 7),
            ("cidr('192.168.0.0/16').containsIP(ip('192.169.169.250'))", 5, 8),
            ("cidr('192.168.0.0/16').containsIP('192.169.0.1')", 5, 8),
            ("cidr('2001:db8::/32').containsIP('2001:db8:3333:4444:5555:6666:7777:8888')", 7, 10),
            ("'ABCDEFGHIJ abcdefghij'.lowerAscii()", 3, 3),
            ("'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii()", 7, 9),
            ("'ABCDEFGHIJ abcdefghij'.upperAscii() == 'abcdefghij ABCDEFGHIJ'.upperAscii()", 7, 9),
            ("strings.quote('ABCDEFGHIJ abcdefghij')", 3, 3),
            ("strings.quote('ABCDEFGHIJ abcdefghij') == strings.quote('ABCDEFGHIJ abcdefghij')", 7, 11),
            ("'abc 123 def 123'.replace('123', '456')", 3, 3),
            ("'abc 123 def 123'.replace('123', '456', 1)", 3, 3),
            ("'abc 123 def 123'.split(' ')", 3, 3),
            ("'abc 123 def 123'.substring(5, 8)", 2, 2),
            ("'  abc 123 def 123  '.trim()", 2, 2),
            ("'abc 123 def 123'.find('123')", 2, 2),
            ("'abc 123 def 123'.findAll('123', 1)", 2, 2),
            ("authorizer.path('/healthz')", 2, 2),
            (
                "authorizer.group('').resource('pods').fieldSelector('spec.nodeName=example-node-name.fully.qualified.domain.name.example.com')",
                1821,
                1821,
            ),
            ("authorizer.path('/healthz').check('get').allowed()", 350_003, 350_003),
            ("quantity('12Mi')", 1, 1),
            ("quantity('200M') == quantity('200M')", 3, 3),
            ("quantity('200M') == quantity('0.2G') && quantity('0.2G') == quantity('200M')", 3, 6),
            ("quantity('50k').add(20).sub(quantity('100k')).sub(-50000).asInteger() > 0", 7, 7),
            ("format.named('dns1123subdomain')", 1, 1),
            ("format.named('dns1123Subdomain').value().validate('my-name')", 34, 34),
            ("format.named('dns1123Label').value() == format.named('dns1123Label').value()", 5, 11),
            ("semver('1234.56789012345.67890123456789')", 4, 4),
            ("isSemver('1234.56789012345.67890123456789')", 4, 4),
            ("semver('1.0.0').compareTo(semver('1.2.3'))", 3, 3),
            ("sets.contains([], [])", 21, 21),
            ("sets.contains([1, 2, 3, 4], [2, 3])", 29, 29),
            ("sets.contains([[1], [2, 3]], [[2, 3]])", 53, 53),
            ("sets.equivalent([1, 2, 3], [3, 2, 1])", 39, 39),
            ("!sets.equivalent([1, 2], [2, 2, 2])", 34, 34),
            ("sets.intersects([1, 2], [2, 2, 2])", 27, 27),
        ],
    );
}

#[test]
fn a_replaced_text_is_as_long_as_it_can_get() {
    let exactly = Range::exactly;
    let of = &Type::String;
    let expression = &Expr::Unspecified;
    for (text, old, new, min, max) in [
        (3, exactly(0), exactly(1), 7, 7),
        (3, exactly(1), exactly(0), 0, 3),
        (4, exactly(2), exactly(4), 4, 8),
        (4, Range { min: 0, max: 1 }, Range { min: 0, max: 2 }, 0, 14),
        (4, exactly(1), Range { min: 1, max: 2 }, 4, 8),
        (4, Range { min: 1, max: 2 }, exactly(1), 2, 4),
    ] {
        let part =
            |size| Part { expression, of, cost: Range::ZERO, size: Some(size), entries: None, place: Place::Outside };
        let target = part(exactly(text));
        let arguments = [part(old), part(new)];
        let outcome = functions::outcome("replace", &Call { target: Some(&target), arguments: &arguments });
        assert_eq!(outcome.size, Some(Range { min, max }), "{text} {old:?} {new:?}");
    }
}

#[test]
fn selectors_of_devices_know_how_large_a_device_may_be() {
    let by_name = |value| Type::map(Type::String, Type::map(Type::String, value));
    let device = Type::object(
        "kubernetes.DRADevice",
        [
            ("driver".to_owned(), Type::String),
            ("allowMultipleAllocations".to_owned(), Type::Bool),
            ("attributes".to_owned(), by_name(Type::Any)),
            ("capacity".to_owned(), by_name(Type::closed("kubernetes.Quantity"))),
        ],
    );
    let environment = Environment::new().with_bindings().with("device", device);
    for (source, max) in [
        ("true", 0),
        ("'no-such-domain' in device.attributes", 3),
        ("device.driver == ''", 2),
        ("device.driver == 'dra.example.com'", 4),
        ("device.allowMultipleAllocations == true", 3),
        ("device.attributes['dra.example.com'].name", 4),
        ("device.attributes['dra.example.com']['name']", 4),
        ("cel.bind(dra, device.attributes['dra.example.com'], dra.name)", 15),
        ("device.attributes['dra.example.com'].name > 0", 5),
        ("device.attributes['dra.example.com'].name == 'fish'", 5),
        ("device.attributes['dra.example.com'].name.isGreaterThan(semver('0.0.1'))", 6),
        ("device.attributes['dra.example.com'].a && device.attributes['dra.example.com'].b", 8),
        ("device.attributes['dra.example.com'].a + device.attributes['dra.example.com'].b == 'c'", 22),
        ("cidr('10.0.0.0/8').containsIP(device.attributes['dra.example.com'].a)", 16),
        ("'a' in device.attributes['dra.example.com'].a", 68),
        ("device.attributes.exists_one(x, x == 'dra.example.com')", 164),
        ("device.attributes['dra.example.com'].exists_one(x, x == 'services')", 133),
        ("device.attributes['dra.example.com'].services.split('example').size() >= 2", 19),
        ("device.attributes['dra.example.com'].services.matches('[^a]?sym')", 18),
        ("device.capacity['dra.example.com'].name.isGreaterThan(quantity('1Ki'))", 6),
        ("device.capacity.exists_one(x, x == 'dra.example.com')", 164),
        ("device.capacity['dra.example.com'].exists_one(x, x == 'memory')", 133),
        (
            "!('name' in device.capacity['dra.example.com']) || \
             device.capacity['dra.example.com'].name.isGreaterThan(quantity('1Ki'))",
            11,
        ),
    ] {
        assert_eq!(cost(source, &environment, &device::bounds_of).max, max, "{source}");
    }
    let all = |level: &str, inside: &str| format!("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all({level}, {inside})");
    let innermost = "int('1'.find('[0-9]*')) < 100".to_owned();
    let nested = ["z5", "z4", "z3", "z2", "z", "y", "x"].iter().fold(innermost, |inside, level| all(level, &inside));
    let max = cost(&nested, &environment, &device::bounds_of).max;
    assert_eq!(max, 85_555_551);
    assert!(max > device::LIMIT);
}

/// Checks a rule about `self`, without limits in its schema and with one: what it costs at most.
fn check_rule(of: Type, bounds: impl Fn(Option<i64>) -> Bounds, rule: &str, limit: i64, [free, limited]: [u64; 2]) {
    let environment = Environment::new().with("self", of.clone()).with("oldSelf", of);
    for (limit, max) in [(None, free), (Some(limit), limited)] {
        let bounds: &'static Bounds = Box::leak(Box::new(bounds(limit)));
        assert_eq!(cost(rule, &environment, &|_| Some(bounds)).max, max, "{rule} with {limit:?}");
    }
}

fn text(max_length: Option<i64>) -> Bounds {
    Bounds::string("", max_length, None)
}

fn field(name: &str, bounds: Bounds, must_be_sent: bool) -> Field {
    Field { name: name.to_owned(), name_in_expressions: Some(name.to_owned()), must_be_sent, bounds }
}

/// An object with a field that is required, and one that is not.
fn object_of_two() -> (Type, Bounds) {
    let fields = ["required", "optional"].map(|name| (name.to_owned(), Type::String));
    let bounds = Bounds::object([field("required", text(None), true), field("optional", text(None), false)]);
    (Type::object("object", fields), bounds)
}

fn values() -> [(&'static str, Type, Bounds); 8] {
    let (object, bounds_of_object) = object_of_two();
    [
        ("number", Type::Double, Bounds::number()),
        ("string", Type::String, text(None)),
        ("boolean", Type::Bool, Bounds::boolean()),
        ("int-or-string", Type::Dyn, Bounds::int_or_string(None)),
        ("duration", Type::Duration, Bounds::string("duration", None, None)),
        ("date", Type::Timestamp, Bounds::string("date", None, None)),
        ("date-time", Type::Timestamp, Bounds::string("date-time", None, None)),
        ("object", object, bounds_of_object),
    ]
}

fn value(named: &str) -> (Type, Bounds) {
    let found = values().into_iter().find(|(name, ..)| *name == named);
    found.map(|(_, of, bounds)| (of, bounds)).unwrap()
}

#[test]
fn rules_about_lists_reckon_with_as_many_elements_as_fit() {
    let all = "self.all(x, true)";
    for (elements, rule, limit, max) in [
        ("number", all, 10, [4_718_591, 32]),
        ("string", all, 20, [3_145_727, 62]),
        ("boolean", all, 5, [1_887_437, 17]),
        ("object", all, 50, [555_128, 152]),
        ("int-or-string", all, 10, [4_718_591, 32]),
        ("duration", all, 5, [2_359_295, 17]),
        ("date", all, 15, [725_936, 47]),
        ("date-time", all, 25, [428_963, 77]),
        ("number", "self[1] == 0.0", 5000, [2, 2]),
        ("string", "self[1] == self[1]", 8, [314_577, 314_577]),
        ("number", "self[3] == 0.0", 0, [2, 2]),
        ("number", "self.all(x, x == 0.0)", 6_291_456, [6_291_454, 25_165_826]),
        ("int-or-string", "self[0] == 5", 10, [3, 3]),
        ("boolean", "self[0] == false", 25, [2, 2]),
        ("object", "self[0] == null", 422, [2, 2]),
        ("duration", "self[0].getHours() == 2", 525, [4, 4]),
        ("date", "self[2].getDayOfMonth() == 13", 42, [4, 4]),
        ("date-time", "self[2].getMinutes() == 45", 99, [4, 4]),
    ] {
        let (of, bounds) = value(elements);
        check_rule(Type::list(of), |limit| Bounds::list(bounds.clone(), limit), rule, limit, max);
    }
    let numbers = || Type::list(Type::list(Type::Double));
    let bounds = |limit| Bounds::list(Bounds::list(Bounds::number(), None), limit);
    check_rule(numbers(), bounds, all, 100, [3_145_727, 302]);
    check_rule(numbers(), bounds, "self[0][0] == -1.0", 51, [3, 3]);
    let maps = || Type::list(Type::map(Type::String, Type::Double));
    let bounds = |limit| Bounds::list(Bounds::map(Bounds::number(), None), limit);
    check_rule(maps(), bounds, "self.all(x, x.y == 25.2)", 12, [6_291_452, 74]);
    check_rule(maps(), bounds, "self[0].x > 2.0", 3000, [4, 4]);
}

#[test]
fn rules_about_maps_reckon_with_as_many_entries_as_fit() {
    let all = "self.all(x, true)";
    for (values, rule, limit, max) in [
        ("number", all, 10, [1_348_169, 32]),
        ("number", "has(self.x)", 100, [1, 1]),
        ("string", all, 3, [1_179_647, 11]),
        ("boolean", all, 100, [943_718, 302]),
        ("int-or-string", all, 15, [1_348_169, 47]),
        ("object", all, 20, [428_963, 62]),
        ("duration", all, 5, [1_048_577, 17]),
        ("date", all, 10, [524_288, 32]),
        ("date-time", all, 25, [349_526, 77]),
        ("number", "self['x'] == 0.0", 0, [2, 2]),
        ("number", "oldSelf.size() == self.size()", 10, [5, 5]),
        ("date-time", "self['a'] == self['b']", 7, [8, 8]),
        ("duration", "self['c'] == self['d']", 42, [8, 8]),
    ] {
        let (of, bounds) = value(values);
        check_rule(Type::map(Type::String, of), |limit| Bounds::map(bounds.clone(), limit), rule, limit, max);
    }
    let texts = |limit| Bounds::map(text(limit), limit);
    let of = Type::map(Type::String, Type::String);
    check_rule(of, texts, "self.all(x, x.contains(self[x]))", 10, [2_752_507, 72]);
    let (of, object) = object_of_two();
    let of = Type::list(Type::map(Type::String, of));
    let bounds = |limit| Bounds::list(Bounds::map(object.clone(), limit), limit);
    check_rule(of, bounds, "self.all(x, x['y'].required == 'z')", 10, [7_340_027, 72]);
}

#[test]
fn rules_about_strings_reckon_with_as_many_bytes_as_fit() {
    for (rule, limit, max) in [
        ("self.contains('test')", 10, [314_574, 5]),
        ("self.startsWith('test')", 15, [2, 2]),
        ("self.endsWith('test')", 30, [2, 2]),
        ("size(self + 'hello') > size('hello')", 4, [314_578, 7]),
        ("self.matches('x')", 50, [314_574, 22]),
        ("''.matches('(((((((((())))))))))[0-9]')", 10, [7, 7]),
        ("self.matches('')", 100, [1, 1]),
        ("self == 'x'", 0, [2, 1]),
        ("self.find('[0-9]+') == ''", 10, [629_147, 11]),
        ("self.lowerAscii() == 'lower!'", 10, [314_575, 6]),
    ] {
        check_rule(Type::String, text, rule, limit, max);
    }
    check_rule(Type::Bytes, |limit| Bounds::string("byte", limit, None), "self == b'x'", 0, [2, 1]);
    let choices = |limit| Bounds::string("", limit, Some("LongValue".len() as u64));
    check_rule(Type::String, choices, "self.contains('A')", 1000, [2, 401]);
}

#[test]
fn rules_that_call_functions_of_kubernetes_know_how_large_a_result_is() {
    let texts = |limit| Bounds::list(text(limit), limit);
    check_rule(Type::list(Type::String), texts, "self.join(' ') == 'aa bb'", 10, [329_853_068_905, 43]);
    check_rule(Type::list(Type::String), texts, "self.isSorted() == true", 10, [329_854_432_052, 52]);
    let of_texts = |names: &[&str]| {
        let fields: Vec<_> = names.iter().map(|name| ((*name).to_owned(), Type::String)).collect();
        Type::object("object", fields)
    };
    let replaced = |limit| {
        let fields = [("str", limit), ("before", Some(2)), ("after", Some(4))];
        Bounds::object(fields.map(|(name, limit)| field(name, text(limit), false)))
    };
    let rule = "self.str.replace(self.before, self.after) == 'does not matter'";
    check_rule(of_texts(&["str", "before", "after"]), replaced, rule, 4, [629_154, 12]);
    let split = |limit| Bounds::object(["str", "separator"].map(|name| field(name, text(limit), false)));
    let rule = "self.str.split(self.separator) == []";
    check_rule(of_texts(&["str", "separator"]), split, rule, 10, [629_160, 22]);
}

#[test]
fn what_is_evaluated_for_every_pair_is_too_expensive() {
    let of = || Type::list(Type::Double);
    let bounds = |limit| Bounds::list(Bounds::number(), limit);
    let free: &'static Bounds = Box::leak(Box::new(bounds(None)));
    let environment = Environment::new().with("self", of());
    for (rule, limited) in
        [("self.all(x, self.all(y, true))", 352), ("self.all(x, self.all(y, self.all(z, true)))", 3552)]
    {
        assert!(cost(rule, &environment, &|_| Some(free)).max > budget::RULE);
        let bounds: &'static Bounds = Box::leak(Box::new(bounds(Some(10))));
        assert_eq!(cost(rule, &environment, &|_| Some(bounds)).max, limited);
    }
}

#[test]
fn the_deepest_expressions_that_are_accepted_need_half_a_stack() {
    let environment = Environment::new().with("a", Type::Dyn).with("l", Type::list(Type::Dyn));
    for (before, after) in [
        ("[", "]"),
        ("{1: ", "}"),
        ("", ".a"),
        ("", "[0]"),
        ("a + (", ")"),
        ("a ? a : (", ")"),
        ("dyn(", ")"),
        ("l.all(x, ", ")"),
        ("l.map(x, ", ")"),
        ("l.exists_one(x, ", ")"),
        ("[", "].all(x, a)"),
    ] {
        let source = |times| format!("{}a{}", before.repeat(times), after.repeat(times));
        let deepest = (100..=260).rev().find_map(|times| compile(&source(times), &environment).ok());
        let deepest = deepest.unwrap_or_else(|| panic!("{before}a{after} is never accepted"));
        std::thread::scope(|scope| {
            let running = std::thread::Builder::new().stack_size(1 << 20);
            running.spawn_scoped(scope, || estimate(&deepest, &|_| None)).unwrap().join().unwrap();
        });
    }
}
#[test]
fn bound_variables_have_the_size_of_their_values() {
    let object = || Type::object("test", [("a".to_owned(), Type::Int)]);
    check(
        vec![
            ("input", Type::list(object()), Some(list(100, Bounds::default()))),
            ("nested", Type::list(Type::list(object())), Some(list(50, list(10, Bounds::default())))),
        ],
        &[
            ("cel.bind(a, 'hello', a + '!')", 12, 12),
            ("cel.bind(a, 'hello!', cel.bind(b, 'goodbye', a + ' and, ' + b))", 26, 26),
            ("cel.bind(a, cel.bind(a, 'world', a + '!'), 'hello ' + a)", 25, 25),
            ("cel.bind(a, input, a[0])", 13, 13),
            ("cel.bind(a, input, a.all(x, true))", 13, 313),
            ("cel.bind(a, nested, a.all(x, x.all(y, true)))", 13, 1763),
            ("cel.bind(a, [1, 2, 3], 42)", 20, 20),
            ("cel.bind(v, [1, 2, 3], v.all(x, true))", 31, 31),
            ("cel.bind(l, [1, 2, 3], l.all(i, v, i < v))", 31, 40),
            ("cel.bind(m, {'a': 1, 'b': 2}, m.transformList(k, v, k))", 78, 78),
        ],
    );
}

#[test]
fn macros_with_two_variables_cost_as_those_with_one() {
    check(
        vec![
            ("input", Type::list(Type::Int), Some(list(100, Bounds::default()))),
            ("texts", Type::list(Type::String), Some(list(10, characters(64)))),
            ("map", Type::map(Type::String, Type::String), Some(Bounds::map_of(characters(10), characters(20), 5))),
        ],
        &[
            ("[1, 2, 3].all(i, v, i < v)", 20, 29),
            ("input.all(i, v, true)", 2, 302),
            ("{'a': 1, 'b': 2}.all(k, v, k != '' && v > 0)", 37, 43),
            ("[1, 2, 3].exists(i, v, i == 1 && v == 2)", 23, 35),
            ("{'a': 1, 'b': 2}.exists(k, v, k == 'a' && v == 1)", 39, 47),
            ("[1, 2, 3].existsOne(i, v, v == 1)", 21, 24),
            ("[1, 2, 3].exists_one(i, v, v == 1)", 21, 24),
            ("[1, 2, 3].transformList(i, v, i + v)", 66, 66),
            ("[1, 2, 3].transformList(i, v, i % 2 == 0, i + v)", 33, 75),
            ("{'a': 1, 'b': 2}.transformList(k, v, k)", 67, 67),
            ("{'a': 1, 'b': 2}.transformMap(k, v, v + 1)", 71, 71),
            ("{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v + 1)", 67, 75),
            ("{'a': 1, 'b': 2}.transformMapEntry(k, v, {v: k})", 129, 129),
            ("{'a': 1, 'b': 2}.transformMapEntry(k, v, v > 1, {v: k})", 67, 133),
            ("[1, 2].all(i, v, [1, 2].all(j, w, i + j < v + w))", 17, 79),
            ("map.all(k, v, v.contains(k))", 2, 37),
            ("{'a': '123456789012345678901'}.all(k, v, v.contains(k))", 34, 39),
            ("texts.all(i, v, i == i)", 2, 62),
        ],
    );
}
