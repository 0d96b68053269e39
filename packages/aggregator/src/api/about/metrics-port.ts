import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { CONTENT_TYPES, formatFor } from '../../metrics/exposition.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { ProblemError, invalidFields, problemOf } from '../request/problems.ts';
import type { Timeouts } from '../request/timeouts.ts';

/** A few scrapers and somebody with curl. */
const CONNECTIONS_MAX = 64;

export interface MetricsPort {
  /** The port that the system gave, where 0 was asked for. */
  readonly port: number;
  close(): Promise<void>;
}

interface Parts {
  readonly metrics: Metrics;
  readonly timeouts: Timeouts;
  readonly log: Logger;
}

/**
 * Tells the metrics at a port of their own, to anybody who can reach it and without a key. It speaks plain HTTP and knows
 * nothing else. Rejects if it cannot get the port.
 */
export async function openMetricsPort(
  where: { readonly host: string; readonly port: number },
  parts: Parts,
): Promise<MetricsPort> {
  const { timeouts } = parts;
  const server = createServer(
    {
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      connectionsCheckingInterval: timeouts.checkedEveryMs,
      keepAliveTimeout: timeouts.keepAliveMs,
    },
    (request, response) => void answer(request, response, parts),
  );
  server.maxConnections = CONNECTIONS_MAX;
  await listening(server, where);
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port, close };
}

function listening(server: Server, where: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function answer(
  { url = '', method, headers }: IncomingMessage,
  response: ServerResponse,
  { metrics, log }: Parts,
): Promise<void> {
  const [path, query] = url.split('?');
  if (path !== '/metrics') {
    return refuse(response, new ProblemError('not_found', 'this port has /metrics and nothing else'));
  }
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    return refuse(
      response,
      new ProblemError('method_not_allowed', `/metrics takes GET, HEAD, not ${method}`),
    );
  }
  if (query) {
    const [field] = new URLSearchParams(query).keys();
    return refuse(response, invalidFields([{ index: null, field: field ?? null, message: NO_PARAMETERS }]));
  }
  try {
    const format = formatFor(headers.accept);
    const page = Buffer.from(await metrics.page(format));
    response.writeHead(200, { 'content-type': CONTENT_TYPES[format], 'content-length': page.length });
    response.end(page);
  } catch (error) {
    log.error({ err: error }, 'the metrics could not be told');
    refuse(
      response,
      new ProblemError('internal_error', 'the request could not be answered; the log says why'),
    );
  }
}

const NO_PARAMETERS = 'unknown parameter: this takes none';

function refuse(response: ServerResponse, error: ProblemError): void {
  const problem = problemOf(error);
  response.writeHead(problem.status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify(problem));
}
