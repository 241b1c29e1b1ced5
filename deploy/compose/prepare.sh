#!/bin/sh
# Makes secrets/ for compose.yaml: keys and passwords, a certificate that only those trust who are told to, and Berth's
# configuration. What is there already stays; put your own tls.crt and tls.key there before or after.
#
#   ./prepare.sh registry.example.com
set -eu
umask 077
domain=${1:?"usage: $0 <domain>, such as registry.example.com"}
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
missing() { [ ! -s "$1" ]; }

missing secret.key && { random 32; echo; } >secret.key
missing postgres-password && random 24 >postgres-password
missing s3-credentials && cat >s3-credentials <<END
[default]
aws_access_key_id = $(random 10)
aws_secret_access_key = $(random 24)
END
missing tls.crt && missing tls.key && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
  -days 365 -subj "/CN=$domain" -addext "subjectAltName=DNS:$domain,DNS:*.$domain" -keyout tls.key -out tls.crt
missing berth.yaml && cat >berth.yaml <<END
host: 0.0.0.0
port: 8080
http: yes # nginx ends TLS
domain: $domain:443
trusted-proxies: 172.30.53.10 # nginx
database: postgres://berth:$(cat postgres-password)@postgres/berth?sslmode=disable # inside the Compose network
blobs: s3://berth?endpoint=http://store:7070&region=us-east-1&path-style=yes
blob-redirects: no # clients cannot reach the store; yes where they can
secret-key: /run/secrets/secret.key
drain-seconds: 30
log-format: json
END

# Containers read them as other users than yours; the folder keeps everybody else out.
chmod 644 ./*
chmod 700 .
echo "secrets/ is ready for $domain"
