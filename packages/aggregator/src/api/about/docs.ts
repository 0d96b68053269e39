import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Api } from '../api.ts';

/** Those that are known by name answer other methods with 405. */
const PATHS = ['/openapi.json', '/docs', '/docs/json', '/docs/yaml', '/docs/*', '/redoc', '/redoc/*'];

/**
 * `/openapi.json`, `/docs` and `/redoc`, about all routes that are registered after this. The code behind them is loaded
 * on the first request: it is a third of all modules, and few people ask for it.
 */
export function docsRoutes(api: Api): void {
  const described: RouteOptions[] = [];
  api.addHook('onRoute', (route) => {
    if (route.schema?.hide !== true) described.push(route);
  });
  let opened: Promise<FastifyInstance> | undefined;
  const pages = (): Promise<FastifyInstance> => {
    opened ??= import('./pages.ts').then(({ openPages }) => openPages(described, api));
    // If that fails, for example for lack of file descriptors, the next request tries again.
    opened.catch(() => (opened = undefined));
    return opened;
  };
  const handOver = async ({ raw: request }: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const server = await pages();
    // Include the headers that hooks have set, such as those for CORS.
    for (const [name, value] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value ?? '');
    reply.hijack();
    server.routing(request, reply.raw);
  };
  for (const path of PATHS) api.get(path, { schema: { hide: true }, config: { scope: 'any' } }, handOver);
}
