// `npm run bench -- [flags]`: the measurements on the pinned Node.
import { join } from 'node:path'
import { root } from '../scripts/prepare.mjs'
import { compileCache, prepareOrExit, run } from '../scripts/run.mjs'

const node = await prepareOrExit({ development: true })
const env = { ...process.env, NODE_COMPILE_CACHE: compileCache }
process.exit(await run(node, [join(root, 'bench', 'main.ts'), ...process.argv.slice(2)], { env }))
