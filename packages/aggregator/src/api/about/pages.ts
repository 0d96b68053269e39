import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import Fastify, { type FastifyInstance, LogController, type RouteOptions } from 'fastify';
import { VERSION } from '../../version.ts';
import type { Api } from '../api.ts';
import { OWN_COMPILERS } from '../request/parameters.ts';
import { noSuchAddress } from '../request/problems.ts';

/**
 * The pages that describe the service, in a Fastify instance of their own that never listens; docs.ts passes requests to
 * it. It knows the routes of the service only to generate the document from their schemas.
 */
export async function openPages(
  described: readonly RouteOptions[],
  { log, errorHandler }: Api,
): Promise<FastifyInstance> {
  const pages: FastifyInstance = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    schemaController: OWN_COMPILERS,
  });
  // The described routes are never called here.
  pages.setValidatorCompiler(() => () => true);
  pages.setSerializerCompiler(() => JSON.stringify);
  pages.setErrorHandler(errorHandler);
  pages.setNotFoundHandler((request) => {
    throw noSuchAddress(request);
  });
  await openApi(pages);
  for (const { method, url, schema = {} } of described) {
    pages.route({ method, url, schema, exposeHeadRoute: false, handler: () => undefined });
  }
  await swaggerUiPages(pages);
  await reDocPages(pages);
  await pages.ready();
  return pages;
}

/** `/openapi.json`, generated from the schemas of the routes that are registered after this. */
async function openApi(pages: FastifyInstance): Promise<void> {
  await pages.register(swagger, {
    openapi: {
      openapi: '3.1.1',
      info: {
        title: 'ChronicleWeaver',
        version: VERSION,
        description:
          'A log aggregator that never loses an event it acknowledged and never keeps the same event twice.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      tags: [
        { name: 'events', description: 'Publish and read' },
        { name: 'groups', description: 'Groups of workers that share events' },
        { name: 'retention', description: 'How long events and their ids are kept' },
        { name: 'system', description: 'The service itself' },
      ],
      components: {
        securitySchemes: {
          key: {
            type: 'http',
            scheme: 'bearer',
            description:
              'Required if keys are in force (API_KEYS_FILE); created by `npm run keys -- create`.',
          },
        },
      },
    },
  });
  pages.get('/openapi.json', { schema: { hide: true } }, () => pages.swagger());
}

const REDOC_FOLDER = dirname(fileURLToPath(import.meta.resolve('redoc/bundles/redoc.standalone.js')));

const REDOC_PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>ChronicleWeaver API</title>
    <link rel="icon" href="data:,">
    <style>body { margin: 0 }</style>
  </head>
  <body>
    <redoc spec-url="/openapi.json" disable-search></redoc>
    <script src="/redoc/redoc.standalone.js"></script>
  </body>
</html>
`;

/**
 * Allows nothing from other origins: the pages work offline and tell nobody about their readers. Swagger UI's default
 * policy allows fonts, styles and a validator from elsewhere, and upgrades requests to https, which may not be set up.
 */
const POLICY =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; object-src 'none'";

/**
 * ReDoc's sidebar loads its maker's logo from a CDN, and no option turns that off. We replace it by an empty image, which
 * ReDoc hides like any image that cannot be loaded.
 */
const REDOC_LOGO = 'https://cdn.redoc.ly/redoc/logo-mini.svg';
const NO_IMAGE = 'data:,';

/** `/docs`, Swagger UI with its own assets. */
async function swaggerUiPages(pages: FastifyInstance): Promise<void> {
  await pages.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: POLICY,
    theme: { title: 'ChronicleWeaver API' },
    // Without the bar that opens other documents.
    uiConfig: { layout: 'BaseLayout' },
  });
}

/** `/redoc`, ReDoc with its script. */
async function reDocPages(pages: FastifyInstance): Promise<void> {
  // Prepared on the first request, because it is a megabyte.
  let script: Promise<Buffer> | undefined;
  pages.get('/redoc/redoc.standalone.js', { schema: { hide: true } }, async (_request, reply) => {
    script ??= readFile(join(REDOC_FOLDER, 'redoc.standalone.js'), 'utf8').then((redoc) =>
      Buffer.from(redoc.replaceAll(REDOC_LOGO, NO_IMAGE)),
    );
    return reply
      .type('text/javascript; charset=utf-8')
      .header('cache-control', 'public, max-age=3600')
      .send(await script);
  });

  pages.get('/redoc', { schema: { hide: true } }, (_request, reply) =>
    reply.type('text/html; charset=utf-8').header('content-security-policy', POLICY).send(REDOC_PAGE),
  );
  await pages.register(fastifyStatic, {
    root: REDOC_FOLDER,
    prefix: '/redoc/',
    decorateReply: false,
    schemaHide: true,
  });
}
