// Not TypeScript, because npm may run it with any Node.js: in an installation without development tools, which has no
// esbuild either. There the service runs from its sources, without a dashboard.
const hasTools = await import('esbuild').then(
  () => true,
  () => false,
);
if (hasTools) {
  await import('./build.ts');
  await import('../dashboard/build.ts');
}
