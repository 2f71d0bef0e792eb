#!/bin/sh
# Roles in the etcd of a fleet: a host writes its own keys and reads orders, an operator reads all
# and writes orders. etcd knows both by the common names of their certificates.
#
#   etcd-roles.sh PREFIX host NAME        once for each host
#   etcd-roles.sh PREFIX group NAME       for a certificate that several hosts share
#   etcd-roles.sh PREFIX operator NAME    once for each operator
#   etcd-roles.sh PREFIX enable           at the end: from now on, etcd asks for roles
#
# PREFIX is fleet.prefix, such as /aop; NAME is fleet.name of a host, or the common name of the
# other certificates. Fleets may share an etcd: the name of a role begins with its prefix. A user is
# a common name alone, so hosts of two fleets need two names. Hosts of a group may write each other's
# keys. etcdctl takes endpoints and certificate from its environment: ETCDCTL_ENDPOINTS,
# ETCDCTL_CACERT, ETCDCTL_CERT, ETCDCTL_KEY.
# After `enable`, the certificate must have the common name root. Each call may be repeated.
set -eu
export ETCDCTL_API=3
usage="usage: etcd-roles.sh PREFIX host|group|operator NAME, or etcd-roles.sh PREFIX enable"
prefix="${1:?$usage}"
what="${2:?$usage}"

# Adds a role or a user, unless it is there.
add() {
    etcdctl "$1" list | grep -qxF "$2" || etcdctl "$1" add "$2" ${3:+"$3"}
}

grant() {
    etcdctl role grant-permission "$@"
}

case "$what" in
host)
    name="${3:?$usage}"
    role="$prefix:host:$name"
    add role "$role"
    grant "$role" readwrite "$prefix/hosts/$name"
    grant "$role" readwrite "$prefix/seen/$name"
    grant "$role" readwrite "$prefix/claims/$name/" --prefix
    grant "$role" read "$prefix/orders/" --prefix
    add user "$name" --no-password
    etcdctl user grant-role "$name" "$role"
    ;;
group)
    name="${3:?$usage}"
    role="$prefix:group"
    add role "$role"
    for keys in hosts seen claims; do
        grant "$role" readwrite "$prefix/$keys/" --prefix
    done
    grant "$role" read "$prefix/orders/" --prefix
    add user "$name" --no-password
    etcdctl user grant-role "$name" "$role"
    ;;
operator)
    name="${3:?$usage}"
    role="$prefix:operator"
    add role "$role"
    grant "$role" read "$prefix/hosts/" --prefix
    grant "$role" read "$prefix/claims/" --prefix
    # `aop fleet forget` deletes here, on condition that there is no report.
    grant "$role" readwrite "$prefix/seen/" --prefix
    grant "$role" readwrite "$prefix/orders/" --prefix
    add user "$name" --no-password
    etcdctl user grant-role "$name" "$role"
    ;;
enable)
    add role root
    add user root --no-password
    etcdctl user grant-role root root
    etcdctl auth enable
    ;;
*)
    echo "$usage" >&2
    exit 2
    ;;
esac
