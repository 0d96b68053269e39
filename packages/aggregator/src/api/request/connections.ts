import { readFileSync } from 'node:fs';
import { type IncomingMessage, STATUS_CODES, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { noteConnection } from './loop-turns.ts';
import { ProblemError, problemOf } from './problems.ts';

/**
 * What HTTP brings before there is a request, or instead of one: too many connections, bytes that are not HTTP, requests
 * that do not come in time, CONNECT, expectations.
 */
export function guardConnections(server: Server, connectionsMax: number, log: Logger): void {
  server.maxConnections = connectionsMax;
  server.on('connection', noteConnection);
  logDrops(server, log);
  // Without a listener Node.js cuts the connection without a word; with one it leaves its errors to us.
  server.on('connect', ({ socket }: IncomingMessage) => {
    socket.on('error', () => socket.destroy());
    afterAnswers(socket, () =>
      endWith(socket, problemText(new ProblemError('method_not_allowed', 'this server is not a proxy'))),
    );
  });
  // The body is asked for where it is read, so that what is refused before need not be sent.
  server.on('checkContinue', (request, response) => server.emit('request', request, response));
  // An expectation that is not known may be passed over (RFC 9110, 10.1.1).
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}

/** Files that are open beside connections, with room for what SQLite opens for a while. */
const OTHER_FILES = 64;

/**
 * As many connections as were set, or as the process may have files open beside its own: without a file left the store
 * could not write. Known on Linux; elsewhere it is what was set.
 */
export function connectionsAllowed(connectionsMax: number, log: Logger): number {
  const filesMax = openFilesMax();
  if (connectionsMax + OTHER_FILES <= filesMax) return connectionsMax;
  const allowed = Math.max(1, filesMax - OTHER_FILES);
  log.warn(
    { connectionsMax, allowed, openFilesMax: filesMax },
    'fewer connections than CONNECTIONS_MAX are taken: the process may not have as many files open (ulimit -n)',
  );
  return allowed;
}

function openFilesMax(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}

/** How often connections that were not taken are summed up in the log, milliseconds. */
const DROPS_LOGGED_EVERY_MS = 10_000;

function logDrops(server: Server, log: Logger): void {
  let dropped = 0;
  server.on('drop', () => {
    dropped += 1;
    if (dropped > 1) return;
    setTimeout(() => {
      log.warn(
        { dropped, connectionsMax: server.maxConnections },
        'connections beyond the bound were closed',
      );
      dropped = 0;
    }, DROPS_LOGGED_EVERY_MS).unref();
  });
}

/** Node's own name for the response that has its turn on a connection; its own answer to such errors looks there. */
type HttpSocket = Duplex & { readonly _httpMessage?: ServerResponse | null };

const broken = new WeakSet<Duplex>();

/**
 * Answers what cannot be read as HTTP, or did not come in time. What came before it on the same connection has its
 * answers first, each whole: a publish that was stored must not be told that it was refused.
 */
export function answerClientError({ code }: NodeJS.ErrnoException, socket: Duplex): void {
  // Each further piece of the rubbish comes here again, and is passed over by that.
  if (broken.has(socket)) return;
  broken.add(socket);
  afterAnswers(socket, (isAnswered) => {
    if (code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else if (isAnswered) endWith(socket, '');
    else endWith(socket, problemText(clientProblem(code)));
  });
}

/** Calls back once nothing is under way that came before; says whether what broke off has been answered itself. */
function afterAnswers(socket: HttpSocket, then: (isAnswered: boolean) => void): void {
  const { _httpMessage: response } = socket;
  // A handler that has not begun to answer may be waiting for the rest of this very request.
  if (!response || (!response.req.complete && !response.headersSent)) return then(false);
  response.once('close', () => {
    if (response.req.complete) afterAnswers(socket, then);
    else then(true);
  });
}

/** How long a connection that was ended is read on, milliseconds. */
const LINGER_MS = 5_000;

/**
 * Sends the last that this connection has to say. Whatever still comes is read and dropped for a while: closing over
 * unread bytes would tear down what is on its way to the other side (RFC 9112, 9.6).
 */
function endWith(socket: Duplex, text: string): void {
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(linger));
  socket.end(text);
  socket.resume();
}

function problemText(error: ProblemError): string {
  const problem = problemOf(error);
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Connection: close',
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

function clientProblem(code: string | undefined): ProblemError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new ProblemError('request_timeout', 'the request did not arrive in time; send it again');
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new ProblemError('headers_too_large', 'the address and the headers may have 16 KiB together');
  }
  return new ProblemError('invalid_request', 'what was sent is not HTTP/1.1');
}
