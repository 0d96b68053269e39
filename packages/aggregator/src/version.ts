import manifest from '../package.json' with { type: 'json' };

/** The version of this service, like "0.1.0". */
export const VERSION = manifest.version;
