//! Rules that operators ship and guides show have to be taken.
//!
//! Upstream: the definitions of gateway-api and karpenter, the website's pages on validation by expressions

use super::*;

fn check(variables: &[&str], rules: &[&str]) {
    let quantities = Type::map(Type::String, Type::closed("kubernetes.Quantity"));
    let fields = [
        ("driver".to_owned(), Type::String),
        ("attributes".to_owned(), Type::map(Type::String, Type::map(Type::String, Type::Dyn))),
        ("capacity".to_owned(), Type::map(Type::String, quantities)),
    ];
    let mut environment = policy().with("device", Type::object("kubernetes.DRADevice", fields)).with_bindings();
    for variable in variables {
        environment = environment.with(*variable, Type::Dyn);
    }
    for rule in rules {
        let told = told(rule, &environment);
        assert!(["bool", "string", "dyn", "list(dyn)"].contains(&told.as_str()), "{rule}: {told}");
    }
}

#[test]
fn rules_of_gateways_are_taken() {
    check(
        &["self"],
        &[
            "self.all(l, l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls) : true)",
            "self.all(l, (l.protocol == 'HTTPS' && has(l.tls)) ? (l.tls.mode == '' || l.tls.mode == 'Terminate') : true)",
            "self.all(l1, self.exists_one(l2, l1.name == l2.name))",
            "self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol \
             && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname \
             : !has(l1.hostname) && !has(l2.hostname))))",
            "(self.type in ['Exact','PathPrefix']) ? self.value.startsWith('/') : true",
            "(self.type in ['Exact','PathPrefix']) \
             ? self.value.matches(r\"\"\"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$\"\"\") : true",
            "self.type == 'RegularExpression' || !self.value.endsWith('/..') && !self.value.contains('%2f')",
            "(!has(self.backendRefs) || size(self.backendRefs) == 0) ? true \
             : (!has(self.filters) || self.filters.all(f, !has(f.requestRedirect)))",
            "self.filter(f, f.type == 'RequestMirror').size() <= 1",
            "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
            "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true",
            "!(has(self.request) && has(self.backendRequest) && duration(self.request) != duration('0s') \
             && duration(self.backendRequest) > duration(self.request))",
            "(self.size() > 0 ? self[0].matches.size() : 0) + (self.size() > 1 ? self[1].matches.size() : 0) <= 128",
            "self.all(p1, self.all(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name \
             && (((!has(p1.__namespace__) || p1.__namespace__ == '') && (!has(p2.__namespace__) \
             || p2.__namespace__ == '')) || (has(p1.__namespace__) && has(p2.__namespace__) \
             && p1.__namespace__ == p2.__namespace__ )) ? ((!has(p1.sectionName) || p1.sectionName == '') \
             == (!has(p2.sectionName) || p2.sectionName == '')) : true))",
            "size(self.matches) != 1 || self.matches[0].path.type == 'PathPrefix' || !has(self.replacePrefixMatch)",
            "has(self.numerator) && has(self.denominator) ? self.numerator <= self.denominator : true",
        ],
    );
}

#[test]
fn rules_of_custom_resources_are_taken() {
    check(
        &["self", "oldSelf"],
        &[
            "self.all(x, (x.operator == 'Gt' || x.operator == 'Lt') \
             ? (x.values.size() == 1 && int(x.values[0]) >= 0) : true)",
            "self.all(x, (x.operator == 'In' && has(x.minValues)) ? x.values.size() >= x.minValues : true)",
            "self in ['beta.kubernetes.io/instance-type', 'failure-domain.beta.kubernetes.io/region'] \
             || !self.find(\"^([^/]+)\").endsWith('karpenter.sh')",
            "self.all(x, x in ['cpu','memory','ephemeral-storage','pid'])",
            "has(self.evictionSoft) ? self.evictionSoft.all(e, (e in self.evictionSoftGracePeriod)) : true",
            "self.filter(x, has(x.rootVolume) ? x.rootVolume == true : false).size() <= 1",
            "self.minReplicas <= self.replicas && self.replicas <= self.maxReplicas",
            "'Available' in self.stateCounts",
            "(self.list1.size() == 0) != (self.list2.size() == 0)",
            "!('MY_KEY' in self.map1) || self['MY_KEY'].matches('^[a-zA-Z]*$')",
            "self.envars.filter(e, e.name == 'MY_ENV').all(e, e.value.matches('^[a-zA-Z]*$'))",
            "has(self.expired) && self.created + self.ttl < self.expired",
            "self.health.startsWith('ok')",
            "self.widgets.exists(w, w.key == 'x' && w.foo < 10)",
            "type(self) == string ? self == '99%' : self == 42",
            "self.names.size() == self.details.size() && self.names.all(n, n in self.details)",
            "self.details.all(key, self.details[key].value > 0)",
            "self.map(x, x.weight).sum() == 100",
            "self.x + self.y <= self.items.map(i, i.z).max()",
            "size(self.clusters.filter(c, c.name == self.primary)) == 1",
            "self == oldSelf || oldSelf.phase == 'Pending' && self.phase in ['Running', 'Failed']",
            "!has(oldSelf.value) || has(self.value)",
            "self.all(v, url(v.endpoint).getScheme() in ['https', 'http'] && isURL(v.endpoint))",
            "quantity(self.min).isLessThan(quantity(self.max)) && isQuantity(self.step)",
            "self.cidrs.all(c, isCIDR(c) && cidr(c).ip().family() == 4 && cidr(c) == cidr(c).masked())",
            "self.transformMapEntry(i, v, {v.name: i}).size() == self.size()",
            "self.created == timestamp('2020-01-01T00:00:00.000Z') && self.interval < duration('1h30m')",
            "['a', 'b'].all(k, k in self) && {'a': self.a}.size() == 1",
            "string(self.port) + ':' + self.protocol.lowerAscii()",
            "\"%s of %d in %s\".format([self.name, self.count, ['a', 'b']])",
        ],
    );
}

#[test]
fn expressions_of_policies_are_taken() {
    check(
        &["object", "oldObject", "params", "request", "namespaceObject", "variables", "claims", "user"],
        &[
            "object.spec.replicas <= params.maxReplicas && oldObject == null",
            "!('system:nodes' in request.userInfo.groups)",
            "!(request.resource.group == 'coordination.k8s.io' && request.resource.resource == 'leases')",
            "authorizer.group('admissionregistration.k8s.io').resource('validatingadmissionpolicies')\
             .namespace(object.metadata.namespace).check('breakglass').allowed()",
            "object.spec.containers.all(c, has(c.resources) && has(c.resources.limits) && 'cpu' in c.resources.limits)",
            "'environment' in variables.labels ? variables.labels['environment'] : 'prod'",
            "'object.spec.replicas must be no greater than ' + string(params.maxReplicas)",
            "object.metadata.?labels[?'team'].orValue('') == namespaceObject.metadata.labels['team']",
            "object.spec.?template.?spec.?containers.orValue([]).all(c, c.image.startsWith('registry.example/'))",
            "object.spec.containers + object.spec.?initContainers.orValue([]) \
             + object.spec.?ephemeralContainers.orValue([])",
            "variables.containers.all(c, c.?securityContext.?privileged.orValue(false) == false)",
            "object.spec.containers.all(c, !c.image.matches('^.*:latest$') && c.image.contains(':'))",
            "object.spec.?securityContext.?runAsNonRoot.orValue(false) || variables.containers.all(c, \
             has(c.securityContext) && c.securityContext.?runAsNonRoot.orValue(false))",
            "request.userInfo.extra[?'authentication.kubernetes.io/node-name'][0].orValue('')",
            "(request.operation == 'DELETE' ? oldObject : object).?spec.nodeName.orValue('')",
            "object.metadata.annotations.exists(k, v, k.startsWith('example.com/') && v == 'true')",
            "quantity(object.spec.resources.requests.storage).compareTo(quantity('10Gi')) <= 0",
            "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.hostPath) \
             || v.hostPath.path in ['/var/log', '/tmp'])",
            "sets.contains(params.allowed, object.spec.ports.map(p, string(p.port)))",
            "int(object.metadata.annotations['limit']) > 0 && object.metadata.name.size() <= 50",
            "claims.?email_verified.orValue(true) == true && claims.exp - claims.nbf <= 86400",
            "user.groups.all(group, !group.startsWith('system:'))",
            "has(request.resourceAttributes) && request.resourceAttributes.verb in ['get', 'list']",
            "device.driver == 'gpu.example.com' \
             && device.capacity['gpu.example.com'].memory.compareTo(quantity('40Gi')) >= 0",
            "cel.bind(dra, device.attributes['dra.example.com'], dra.someBool && dra.anotherBool)",
            "device.attributes['driver.example.com'].version.isGreaterThan(semver('1.2.3')) \
             || device.attributes['x'].model == 'A'",
        ],
    );
}
