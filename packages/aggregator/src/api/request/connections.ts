import { readFileSync } from 'node:fs';
import { type IncomingMessage, STATUS_CODES, type Server, type ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Server as TlsServer } from 'node:tls';
import type { Logger } from 'pino';
import type { AnswerListener } from './answers.ts';
import { noteConnection } from './loop-turns.ts';
import { ProblemError, problemOf } from './problems.ts';

/**
 * Handles what arrives before a request or instead of one: too many connections, bytes that are not HTTP, requests
 * that do not arrive in time, CONNECT, and expectations.
 */
export function guardConnections(
  server: Server,
  connectionsMax: number,
  log: Logger,
  answers: AnswerListener,
): void {
  server.maxConnections = connectionsMax;
  server.on('connection', noteConnection);
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', letAnswersArrive);
  logDrops(server, log);
  // Without a listener Node.js silently cuts the connection; with one, errors of the socket are ours to handle.
  server.on('connect', ({ socket }: IncomingMessage) => {
    socket.on('error', () => socket.destroy());
    afterAnswers(socket, () =>
      endWith(
        socket,
        problemText(new ProblemError('method_not_allowed', 'this server is not a proxy'), answers),
      ),
    );
  });
  // The body is requested where it is read, so that the body of a refused request is never sent.
  server.on('checkContinue', (request, response) => server.emit('request', request, response));
  // An unknown expectation may be ignored (RFC 9110, 10.1.1).
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}

/** Open files other than connections, including those that SQLite opens temporarily. */
const OTHER_FILES = 64;

/**
 * The configured number of connections, or fewer if the process may not have so many open files: the store could not
 * write if none was left. The limit is known only on Linux.
 */
export function connectionsAllowed(connectionsMax: number, log: Logger): number {
  const filesMax = openFilesMax();
  if (connectionsMax + OTHER_FILES <= filesMax) return connectionsMax;
  const allowed = Math.max(1, filesMax - OTHER_FILES);
  log.warn(
    { connectionsMax, allowed, openFilesMax: filesMax },
    'fewer connections than CONNECTIONS_MAX are accepted: the process may not open as many files (ulimit -n)',
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

/** How often the log gets a summary of refused connections, milliseconds. */
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

/** Node's internal names for a connection's current response and request, which its own answers to errors use as well. */
type HttpSocket = Duplex & {
  readonly _httpMessage?: ServerResponse | null;
  readonly parser?: { readonly incoming: IncomingMessage | null } | null;
};

const broken = new WeakSet<Duplex>();

/**
 * Answers what is not HTTP or did not arrive in time. Earlier requests on the same connection get their answers first,
 * and completely: a stored publish must not be reported as refused.
 */
export function answerClientError(
  { code }: NodeJS.ErrnoException,
  socket: Duplex,
  answers: AnswerListener,
): void {
  // Further bytes of the garbage arrive here again, and are ignored.
  if (broken.has(socket)) return;
  broken.add(socket);
  afterAnswers(socket, (isAnswered) => {
    if (code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else if (isAnswered) endWith(socket, '');
    else endWith(socket, problemText(clientProblem(code), answers));
  });
}

/** Calls back once earlier requests are answered, and says whether the broken request itself has been answered. */
function afterAnswers(socket: HttpSocket, then: (isAnswered: boolean) => void): void {
  const { _httpMessage: response } = socket;
  // A handler that has not begun its answer may be waiting for the rest of this very request.
  if (!response || (!response.req.complete && !response.headersSent)) return then(false);
  response.once('close', () => {
    if (response.req.complete) afterAnswers(socket, then);
    else then(true);
  });
}

/** How long to keep reading from a connection after ending it, milliseconds. */
const LINGER_MS = 5_000;

/**
 * After the last answer of a connection Node.js destroys its socket, also if a refused body is still arriving: the client
 * would see a reset in place of the answer. Here the socket is ended, and destroyed once the body is over.
 */
function letAnswersArrive(socket: Socket & HttpSocket): void {
  socket.destroySoon = () => {
    const request = socket.parser?.incoming;
    if (!request || request.complete) {
      Socket.prototype.destroySoon.call(socket);
      return;
    }
    const destroy = (): void => void socket.destroy();
    const linger = setTimeout(destroy, LINGER_MS);
    socket.once('close', () => clearTimeout(linger)).once('end', destroy);
    request.once('end', destroy);
    socket.end();
  };
}

/**
 * Sends the last answer of the connection. Whatever still arrives is read and dropped for a while: closing with unread
 * bytes would destroy the data that is on its way to the client (RFC 9112, 9.6).
 */
function endWith(socket: Duplex, text: string): void {
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(linger));
  socket.end(text);
  socket.resume();
}

function problemText(error: ProblemError, answers: AnswerListener): string {
  answers.refused(error.code);
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
    return new ProblemError('headers_too_large', 'the address and the headers together may have 16 KiB');
  }
  return new ProblemError('invalid_request', 'the request is not valid HTTP/1.1');
}
