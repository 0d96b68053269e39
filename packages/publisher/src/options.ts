import { randomUUID } from 'node:crypto';
import { LIMITS } from '@chronicleweaver/protocol';
import {
  Command,
  type Kind,
  decimalNumber,
  exitCodesText,
  option,
  wholeNumber,
} from '@chronicleweaver/terminal';

/** What one run is to do: checked, complete, and all that the other files know of flags and variables. */
export interface Options {
  /** Address of the aggregator, such as `http://localhost:8000`, without a trailing slash. */
  baseUrl: string;
  /** The secret of an API key, if the aggregator requires one. */
  key?: string | undefined;
  /** Events to send in total, including duplicates. */
  count: number;
  /** Share of `count` that repeats an earlier event, from 0 to below 1. */
  duplicateRatio: number;
  /** Events per request. */
  batchSize: number;
  /** Requests under way at once. */
  concurrency: number;
  /** Number of topics that the events are spread over. */
  topics: number;
  /** All events are derived from it: the same run id sends the same events. */
  runId: string;
  /** How long one request is retried before the run gives up. */
  retryMs: number;
  /** Report as one line of JSON. */
  json: boolean;
}

/** The command line of the stress publisher: a flag overrides its variable, and a variable the default. */
export function publisherCommand(work: (options: Options) => Promise<void>) {
  return new Command('chronicleweaver stress')
    .description('Sends events, some of them twice, and checks that the aggregator stored each exactly once.')
    .addOption(option('--url <address>', ABOUT.url, ADDRESS, 'AGGREGATOR_URL'))
    .addOption(option('--host <name>', ABOUT.host, HOST, 'AGGREGATOR_HOST').default('localhost'))
    .addOption(option('--port <number>', ABOUT.port, wholeNumber(1, 65_535), 'AGGREGATOR_PORT').default(8000))
    .addOption(option('--key <secret>', ABOUT.key, SECRET, 'API_KEY'))
    .addOption(option('--count <number>', ABOUT.count, COUNT, 'PUBLISH_COUNT').default(5000))
    .addOption(
      option('--duplicate-ratio <share>', ABOUT.ratio, RATIO, 'PUBLISH_DUPLICATE_RATIO').default(0.2),
    )
    .addOption(option('--batch-size <number>', ABOUT.batch, BATCH, 'PUBLISH_BATCH_SIZE').default(100))
    .addOption(option('--concurrency <number>', ABOUT.lanes, LANES, 'PUBLISH_CONCURRENCY').default(4))
    .addOption(option('--topics <number>', ABOUT.topics, TOPICS, 'PUBLISH_TOPICS').default(5))
    .addOption(option('--run-id <id>', ABOUT.runId, RUN_ID, 'PUBLISH_RUN_ID'))
    .addOption(option('--retry-seconds <number>', ABOUT.retry, RETRY, 'PUBLISH_RETRY_SECONDS').default(60))
    .option('--json', 'report as one line of JSON on stdout')
    .addHelpText('after', MORE)
    .action(({ url, host, port, runId = randomUUID(), retrySeconds, json, ...numbers }) =>
      work({
        baseUrl: url ?? `http://${host}:${port}`,
        runId,
        retryMs: retrySeconds * 1000,
        json: json === true,
        ...numbers,
      }),
    );
}

const ABOUT = {
  url: 'where the aggregator is, instead of host and port; NODE_EXTRA_CA_CERTS names a file of authorities to trust',
  host: 'where the aggregator is',
  port: 'its port',
  key: 'the secret of an API key with the scopes publish and read and every topic',
  count: 'events to send, including duplicates',
  ratio: 'share of events that repeat an earlier one',
  batch: 'events per request',
  lanes: 'requests under way at once',
  topics: 'number of topics',
  runId:
    'the events are derived from it: the same id, with the same flags, sends the same events again; defaults to a ' +
    'random UUID',
  retry: 'seconds to retry a request for',
};

const MORE =
  '\nReads a .env file in the working directory; the real environment overrides it, and a flag overrides both.\n' +
  exitCodesText({ 0: 'PASS', 1: 'FAIL or gave up', 2: 'wrong flag or variable' });

const COUNT = wholeNumber(1, 10_000_000);
const BATCH = wholeNumber(1, LIMITS.batchEventsMax);
const LANES = wholeNumber(1, 256);
const TOPICS = wholeNumber(1, 1000);
const RETRY = wholeNumber(0, 86_400);
const RATIO = decimalNumber('from 0 to below 1', (number) => number < 1);

const SECRET: Kind<string> = {
  takes: 'the letters, digits and - . _ ~ + / = of a secret',
  read: (text) => (/^[\w~+/.-]+=*$/.test(text) ? text : undefined),
  isSecret: true,
};

const HOST: Kind<string> = {
  takes: 'a host name or an IP address',
  read(text) {
    // An IPv6 address is in brackets in a URL.
    const host = text.includes(':') && !text.startsWith('[') ? `[${text}]` : text;
    return /[/?#@\\\s"'*\p{C}]/u.test(host) || !URL.canParse(`http://${host}:1/`) ? undefined : host;
  },
};

const ADDRESS: Kind<string> = {
  takes: 'an http or https address without query',
  read(text) {
    const url = URL.parse(text);
    const isPlain = url !== null && !url.search && !url.hash && !url.username && !url.password;
    return isPlain && /^https?:$/.test(url.protocol) ? url.href.replace(/\/+$/, '') : undefined;
  },
};

const RUN_ID: Kind<string> = {
  takes: '1 to 200 letters, digits and . _ : -',
  read: (text) => (/^[\w.:-]{1,200}$/.test(text) ? text : undefined),
};
