import { StoreError } from '../event-store.ts';

/** One of the servers that may hold the log. */
export interface Host {
  /** For messages, such as `db-1:5432`. */
  readonly name: string;
  /** As the client library takes it. */
  readonly connectionString: string;
}

/** Where the log lives. */
export interface Address {
  /** One of them takes writes, whichever that is at the time. In the order of the address, at least one. */
  readonly hosts: readonly Host[];
  /** Names servers, database and schema, without a password, for log and messages. */
  readonly place: string;
  readonly schema: string;
}

const SCHEMA = 'chronicleweaver';

/** Keeps clear of what needs quoting, so that the schema's name can also name a channel for notifications. */
const SCHEMA_NAME = /^[a-z_][a-z\d_]{0,40}$/;

const PORT = '5432';

/** The scheme and whoever logs in; the hosts; the rest. Before a password's own @ there may be anything. */
const PARTS = /^([a-z]+:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/is;

/** Parameters of libpq that are known here, too; the client library would ignore others, such as a misspelt sslmode. */
const PARAMETERS = [
  'schema',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'host',
  'port',
  'user',
  'password',
  'options',
  'target_session_attrs',
];

/** Those that would go on without TLS where the server has none are left out: whoever asks for it wants it. */
const SSL_MODES = ['disable', 'require', 'verify-ca', 'verify-full'];

/**
 * Reads `postgres://user:password@host:port/database`, with parameters as libpq knows them; `schema` is ours, and names the
 * schema, so that several logs may live in one database. As in libpq there may be several hosts, `a:5432,b:5432` or
 * `?host=a,b`. What it refuses it does not repeat where it may be of a password.
 */
export function readAddress(address: string): Address {
  const urls = oneForEachHost(address);
  const [url] = urls;
  const schema = schemaIn(url!);
  const hosts = urls.map((one): Host => {
    for (const name of ['schema', 'target_session_attrs']) one.searchParams.delete(name);
    return { name: nameOf(one), connectionString: withTls(one).href };
  });
  const servers = hosts.length === 1 ? url!.host : hosts.map(({ name }) => name).join(',');
  const place = `postgres://${servers}${url!.pathname}`;
  return { hosts, schema, place: schema === SCHEMA ? place : `${place}?schema=${schema}` };
}

/** The client library knows one host: an address for each. */
function oneForEachHost(address: string): URL[] {
  const [, before, authority, after] = PARTS.exec(address) ?? [];
  const urls = (authority ?? '').split(',').map((host) => parsed(`${before}${host}${after}`));
  const { searchParams } = urls[0]!;
  const hosts = searchParams.get('host')?.split(',');
  const ports = searchParams.get('port')?.split(',');
  const count = hosts?.length ?? urls.length;
  if ([urls.length, ports?.length ?? 1].some((length) => length !== 1 && length !== count)) {
    throw refused(
      'the address names more ports than hosts, or fewer: give each host its port, or all of them one',
    );
  }
  if (count === 1) return urls;
  return Array.from({ length: count }, (_, i) => {
    const url = new URL(urls[i] ?? urls[0]!);
    if (hosts !== undefined) url.searchParams.set('host', hosts[i]!);
    if (ports !== undefined) url.searchParams.set('port', ports[i] ?? ports[0]!);
    if ((hosts?.[i] ?? url.hostname) === '') throw refused('the address names a host without a name');
    return url;
  });
}

function parsed(address: string): URL {
  const url = URL.parse(address);
  if (url === null) {
    throw refused('the address takes the form postgres://user@host:5432/database, or …@host-1:5432,host-2:5432/…'); // prettier-ignore
  }
  // A password with one of these ends up here in part.
  if (url.hash !== '' || /[/@]/.test(url.pathname.slice(1))) {
    throw refused('the address names one database behind the host; in a password write / as %2F, ? as %3F, # as %23, @ as %40'); // prettier-ignore
  }
  return url;
}

function nameOf({ searchParams, hostname, port }: URL): string {
  return `${searchParams.get('host') ?? hostname}:${searchParams.get('port') ?? (port || PORT)}`;
}

function schemaIn({ searchParams }: URL): string {
  for (const name of searchParams.keys()) {
    if (PARAMETERS.includes(name)) continue;
    const shown = /^[a-z_]{1,40}$/.test(name) ? name : 'one of its parameters';
    throw refused(`the address has ${shown}, which is not known: it takes ${PARAMETERS.join(', ')}`);
  }
  const wanted = searchParams.get('target_session_attrs') ?? 'read-write';
  if (wanted !== 'read-write') {
    throw refused(`target_session_attrs is ${JSON.stringify(wanted)}: it takes read-write, for the primary`);
  }
  if (searchParams.getAll('schema').length > 1) throw refused('the address names more than one schema');
  const schema = searchParams.get('schema') ?? SCHEMA;
  if (!SCHEMA_NAME.test(schema)) {
    throw refused(`schema is ${JSON.stringify(schema)}: it takes small letters, digits and _`);
  }
  return schema;
}

/** Gives sslmode the meaning that it has everywhere else: the client library has one of its own. */
function withTls(url: URL): URL {
  const { searchParams } = url;
  const mode = searchParams.get('sslmode');
  if (mode !== null && !SSL_MODES.includes(mode)) {
    throw refused(`sslmode is ${JSON.stringify(mode)}: it takes ${SSL_MODES.join(', ')}`);
  }
  const files = ['sslrootcert', 'sslcert', 'sslkey'].filter((name) => searchParams.has(name));
  if (files.length > 0 && (mode === null || mode === 'disable')) {
    throw refused(`the address has ${files[0]} and no sslmode that uses it: take verify-full`);
  }
  if (mode === 'verify-ca' && !searchParams.has('sslrootcert')) {
    throw refused('sslmode=verify-ca needs the authority to trust: name its file with sslrootcert=');
  }
  if (mode !== null) searchParams.set('uselibpqcompat', 'true');
  return url;
}

function refused(message: string): StoreError {
  return new StoreError('unusable', message);
}
