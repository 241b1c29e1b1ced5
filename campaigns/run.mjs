// `npm run chaos|crowd|full-disk|fuzz|measure|races|rivals -- [flags]`: one campaign on the pinned Node.
import { join } from 'node:path'
import { root } from '../scripts/prepare.mjs'
import { prepareOrExit, run } from '../scripts/run.mjs'

const [campaign = '', ...args] = process.argv.slice(2)
const node = await prepareOrExit({ development: true })
process.exit(await run(node, [join(root, 'campaigns', campaign, 'main.ts'), ...args]))
