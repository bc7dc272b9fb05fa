#!/bin/sh
# Makes the passwords, the users and the certificate of a Redis for shared keys.
set -eu
umask 077
mkdir -p redis

# The password that encrypts the keys, and those of two users of Redis.
openssl rand -base64 32 > shared-store-password.txt
openssl rand -hex 32 > shared-store-auth.txt
openssl rand -hex 32 > admin-auth.txt

hash() { tr -d '\n' < "$1" | sha256sum | cut -d ' ' -f 1; }
may="~managed-credentials:* resetchannels &managed-credentials:* -@all"
may="$may +ping +select +eval +subscribe +unsubscribe +publish"
may="$may +time +type +hmget +hset +get +set +del +pttl +pexpire"
cat > redis/users.acl << END
user default off
user admin on #$(hash admin-auth.txt) ~* &* +@all
user managed-credentials on #$(hash shared-store-auth.txt) $may
END

# A CA, and a certificate for the host name "redis".
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=CA of redis" \
    -keyout ca.key -out ca.crt
openssl req -newkey rsa:2048 -nodes -subj "/CN=redis" -keyout redis/tls.key -out tls.csr
echo "subjectAltName=DNS:redis" > tls.ext
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 \
    -extfile tls.ext -out redis/tls.crt
