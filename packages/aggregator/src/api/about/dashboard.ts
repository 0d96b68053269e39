import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { noSuchAddress, ProblemError } from '../request/problems.ts';
import type { Api } from '../api.ts';

/**
 * Nothing but the dashboard's own files, no script or style within a page, and no page of others around it: not even text
 * of an event that got into the page as markup could run there or send anything anywhere.
 */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
};

interface ServedFile {
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

/**
 * `/dashboard`, its pages and its files. They are the same for everyone and contain nothing of the log, so they need no key; what
 * the pages show they ask for with the reader's [DASH-2]. The files are read when somebody first asks for one.
 */
export function dashboardRoutes(api: Api): void {
  const route = { schema: { hide: true }, config: { scope: 'open' } } as const;
  api.get('/dashboard', route, (request, reply) => sendPage(request, reply, './dashboard/'));
  api.get('/dashboard/*', route, async (request, reply) => {
    const name = (request.params as { '*': string })['*'];
    // Each page has an address of its own, and all of them are the same file [DASH-1].
    if (/^[a-z]*$/.test(name)) return sendPage(request, reply, './');
    const file = (await servedFiles())?.get(name);
    if (file === undefined) throw noSuchAddress(request);
    return sendFile(request, reply, file);
  });
}

/** Whether there is a page, and the request would rather have it than JSON, as browsers would [DASH-1]. */
export async function prefersPage(request: FastifyRequest): Promise<boolean> {
  if (request.accepts().type(['application/json', 'text/html']) !== 'text/html') return false;
  return (await servedFiles())?.has('index.html') === true;
}

/**
 * Answers with the page. @param folder the way from the address of the page to the dashboard's files: relative, since a proxy may
 * have put the service below a path
 */
export async function sendPage(
  request: FastifyRequest,
  reply: FastifyReply,
  folder: string,
): Promise<FastifyReply> {
  const page = (await servedFiles())?.get('index.html');
  if (page === undefined) {
    throw new ProblemError(
      'not_found',
      'this installation has no dashboard; `npm ci` builds it, unless it leaves out development tools',
    );
  }
  const body = Buffer.from(page.body.toString().replaceAll('"./', `"${folder}`));
  return sendFile(request, reply, { ...page, body, etag: `${page.etag.slice(0, -1)}-${folder.length}"` });
}

function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  { type, body, etag }: ServedFile,
): FastifyReply {
  reply
    .header('content-security-policy', POLICY)
    .header('x-content-type-options', 'nosniff')
    .header('referrer-policy', 'no-referrer')
    // A browser asks each time whether it has changed: a page must not be older than its service.
    .header('cache-control', 'no-cache')
    .header('etag', etag);
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();
  return reply.type(type).send(body);
}

let served: Promise<ReadonlyMap<string, ServedFile> | undefined> | undefined;

/** The files by name; undefined if there are none. Read once: there are few, and they are small. */
function servedFiles(): Promise<ReadonlyMap<string, ServedFile> | undefined> {
  served ??= readFiles().catch((error: NodeJS.ErrnoException) => {
    // Whatever the reason, such as a lack of file descriptors, the next request tries again.
    served = undefined;
    if (['ENOENT', 'MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'].includes(error.code ?? '')) return undefined;
    throw error;
  });
  return served;
}

async function readFiles(): Promise<ReadonlyMap<string, ServedFile>> {
  const folder = dirname(fileURLToPath(import.meta.resolve('@chronicleweaver/dashboard/index.html')));
  const names = (await readdir(folder)).filter((name) => extname(name) in TYPES);
  if (!names.includes('index.html')) return new Map();
  const files = names.map(async (name): Promise<[string, ServedFile]> => {
    const body = await readFile(join(folder, name));
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 20)}"`;
    return [name, { type: TYPES[extname(name)]!, body, etag }];
  });
  return new Map(await Promise.all(files));
}
