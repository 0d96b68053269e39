import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Api } from '../api.ts';

const PATHS = ['/openapi.json', '/docs', '/docs/*', '/redoc', '/redoc/*'];

/**
 * `/openapi.json`, `/docs` and `/redoc`, about all routes that are registered after this. What answers them is loaded and made
 * when somebody first asks: it is a third of all modules, and few ask.
 */
export function docsRoutes(api: Api): void {
  const described: RouteOptions[] = [];
  api.addHook('onRoute', (route) => {
    if (route.schema?.hide !== true) described.push(route);
  });
  let opened: Promise<FastifyInstance> | undefined;
  const pages = (): Promise<FastifyInstance> => {
    opened ??= import('./pages.ts').then(({ openPages }) => openPages(described, api.log));
    // Where it fails for want of open files, say, the next request tries again.
    opened.catch(() => (opened = undefined));
    return opened;
  };
  const handOver = async ({ raw: request }: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const server = await pages();
    // What CORS has said about the answer, for one.
    for (const [name, value] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value ?? '');
    reply.hijack();
    server.routing(request, reply.raw);
  };
  for (const path of PATHS) api.get(path, { schema: { hide: true }, config: { scope: 'any' } }, handOver);
}
