// Loaded by `test:node` into every child of the tests: where they ask for a source of ours, they get what was built of it.
// The sources are written for the pinned Node; Node 22 has no `using`, and what users run there is the compiled code.

import { registerHooks } from 'node:module';

const source = /\/((?:packages|apps)\/[^/]+)\/src\/(.*)\.ts$/;

registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context);
    if (!source.test(resolved.url)) return resolved;
    return { ...resolved, format: 'module', url: resolved.url.replace(source, '/$1/dist/$2.js') };
  },
});
