//! Which functions there are, and which of later or other libraries there are not.
//!
//! Upstream: apiserver/pkg/cel/library, cel-go ext

use super::*;

#[test]
fn functions_of_each_library_give_what_they_are_declared_to_give() {
    for (source, result) in [
        ("'tacocat'.charAt(1) + 'a'.lowerAscii() + 'a'.upperAscii() + ' a '.trim()", "string"),
        ("'hello'.indexOf('e', 1) + 'hello'.lastIndexOf('l', 2)", "int"),
        ("'a'.replace('a', 'b', 1).replace('b', 'c')", "string"),
        ("'a b'.split(' ', 2)", "list(string)"),
        ("'tacocat'.substring(0, 4).substring(1)", "string"),
        ("['a'].join() + strings.quote('a')", "string"),
        ("sets.equivalent([1], [1, 1]) && sets.intersects(list, [1])", "bool"),
        ("list.slice(0, 1).reverse().distinct()", "list(int)"),
        ("[[1], [2]].flatten(2)", "list(dyn)"),
        ("lists.range(3)", "list(int)"),
        ("[b'a', b'b'].sort().max()", "bytes"),
        ("[timestamp('2020-01-01T00:00:00Z')].min()", "timestamp"),
        ("['a'].isSorted() && list.indexOf(1) == list.lastIndexOf(2)", "bool"),
        ("[duration('1s')].sum()", "duration"),
        ("object.sum()", "dyn"),
        ("list.first()", "optional_type(int)"),
        ("optional.unwrap([list.last()])", "list(int)"),
        ("'abc 123'.find('[0-9]*')", "string"),
        ("'123 abc 456'.findAll('[0-9]*', 1)", "list(string)"),
        ("url('https://example.com:80/').getHostname() + url('https://a').getPort()", "string"),
        ("isURL('a') && isIP('::1') && isCIDR('::/0') && isQuantity('1') && isSemver('1.0.0', true)", "bool"),
        ("authorizer.serviceAccount('a', 'b').path('/healthz').check('get').reason()", "string"),
        ("authorizer.group('').resource('a').subresource('b')", "kubernetes.authorization.ResourceCheck"),
        ("authorizer.group('').resource('a').namespace('c').name('d')", "kubernetes.authorization.ResourceCheck"),
        ("authorizer.group('').resource('a').fieldSelector('a=b').check('list').errored()", "bool"),
        ("authorizer.path('/').check('get')", "kubernetes.authorization.Decision"),
        ("quantity('50k').add(20).sub(quantity('100k')).sub(-50000).compareTo(quantity('20'))", "int"),
        ("sign(quantity('1')) + quantity('1').asInteger()", "int"),
        ("quantity('1').asApproximateFloat()", "double"),
        ("cidr('::/0').containsIP(ip('::1')) && cidr('::/0').containsCIDR('::1/128')", "bool"),
        ("cidr('::/0').masked().ip().family() + cidr('::/0').prefixLength()", "int"),
        ("string(ip('::1')) + string(cidr('::/0'))", "string"),
        ("type(cidr('::/0')) == net.CIDR && ip('::1').isLoopback()", "bool"),
        ("format.named('dns1123Label').value().validate('a').value()", "list(string)"),
        ("!format.dns1035LabelPrefix().validate('a').hasValue()", "bool"),
        ("semver('1.0.0').isLessThan(semver('2.0.0')) && semver('1.0.0').patch() > 0", "bool"),
        ("timestamp('2020-01-01T00:00:00Z').getHours('America/Phoenix') + duration('1h').getMinutes()", "int"),
        ("[object.a].map(a, string(a)).exists(s, s.matches('^a$'))", "bool"),
    ] {
        assert_eq!(told(source, &policy()), result, "{source}");
    }
}

#[test]
fn functions_of_later_and_of_other_libraries_are_unknown() {
    for (source, name) in [
        ("jsonpatch.escapeKey('a')", "jsonpatch"),
        ("quantity('1').mul(2)", "mul"),
        ("base64.encode(b'a')", "base64"),
        ("math.greatest(1, 2)", "math"),
        ("list.includes(1)", "includes"),
        ("kubernetes.Quantity == type(1)", "kubernetes"),
        ("isImage('a')", "isImage"),
        ("__not_strictly_false__(true)", "__not_strictly_false__"),
    ] {
        let mistakes = told(source, &policy());
        assert!(mistakes.contains(&format!("undeclared reference to '{name}'")), "{source}: {mistakes}");
    }
    for (source, mistake) in [
        ("'abc'.reverse()", "14: found no matching overload for 'reverse' applied to 'string.()'"),
        (
            "optional.of(1).hasValue(1)",
            "24: found no matching overload for 'hasValue' applied to 'optional_type(int).(int)'",
        ),
        ("object.`a`", "7: unsupported syntax: '`'"),
    ] {
        assert_eq!(first_mistake(source, &policy()), mistake, "{source}");
    }
}
