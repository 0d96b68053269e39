#!/bin/sh
# Starts PostgreSQL for docker-compose.postgres.yml. In: NAME, this server's own, and PRIMARY, the name of the one that is to be
# the primary. An empty folder becomes a new database on the primary, and a copy of the primary everywhere else. A folder with
# data is used as it is; where it was a primary and PRIMARY names another one, the start is refused: after a failover the old
# primary must not come back as a second one.
set -eu
export PGPASSWORD="$DATABASE_PASSWORD"

new_primary() {
  printf '%s\n' "$DATABASE_PASSWORD" >/tmp/password
  initdb --encoding=UTF8 --locale=C --data-checksums --username=postgres --pwfile=/tmp/password \
    --auth-local=trust --auth-host=scram-sha-256 --no-instructions
  rm /tmp/password
  cat >>"$PGDATA/postgresql.conf" <<CONF
listen_addresses = '*'
unix_socket_directories = '/tmp'
max_wal_size = 4GB
checkpoint_timeout = 15min
max_slot_wal_keep_size = 8GB
# A commit is confirmed when one other server, whichever it is, has it on its disk.
synchronous_standby_names = 'ANY 1 (*)'
CONF
  cat >>"$PGDATA/pg_hba.conf" <<CONF
# The load balancer asks who is the primary. Its role may do nothing.
host postgres balancer all trust
host all all all scram-sha-256
host replication replicator all scram-sha-256
CONF
  # Nothing waits for a standby yet, nor does anybody reach this server.
  pg_ctl start --wait --silent -o "-c listen_addresses='' -c synchronous_standby_names=''"
  psql --quiet --set=ON_ERROR_STOP=1 --set=password="$DATABASE_PASSWORD" <<SQL
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'password';
CREATE ROLE balancer LOGIN;
-- It hangs up as soon as it knows, which would be logged each second.
ALTER ROLE balancer SET log_min_messages = fatal;
CREATE ROLE chronicleweaver LOGIN PASSWORD :'password';
CREATE DATABASE chronicleweaver OWNER chronicleweaver;
SQL
  pg_ctl stop --wait --silent
}

# Renamed into place when it is whole, so that a stop in the middle leaves an empty folder.
copy_of_primary() {
  until rm -rf "$PGDATA.new" && pg_basebackup --host="$PRIMARY" --username=replicator --pgdata="$PGDATA.new" \
    --checkpoint=fast --wal-method=stream --write-recovery-conf; do
    sleep 1
  done
  mv "$PGDATA.new" "$PGDATA"
}

if [ -s "$PGDATA/PG_VERSION" ]; then
  if [ "$NAME" != "$PRIMARY" ] && [ ! -e "$PGDATA/standby.signal" ]; then
    echo "$NAME was a primary, and PRIMARY is $PRIMARY now: empty its volume, and it becomes a standby" >&2
    exit 1
  fi
elif [ "$NAME" = "$PRIMARY" ]; then
  new_primary
else
  copy_of_primary
fi
exec postgres -c cluster_name="$NAME"
