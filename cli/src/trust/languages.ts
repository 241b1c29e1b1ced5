/** Programs that bring their own list of authorities and are told of others by a variable or a tool of their own. */
import { dirname, join } from 'node:path'
import { rootCertificates } from 'node:tls'
import type { Machine } from './machine.ts'
import { ensureFile, quoted, readText, Skipped, type TrustedAuthority, type TrustTarget } from './target.ts'

const bundleOf = (authority: TrustedAuthority) => join(dirname(authority.file), 'ca-bundle.pem')

/** `requests` replaces its own list by the bundle that the variable names, so the bundle holds the usual ones too. */
export const az: TrustTarget = {
  name: 'az (and Python programs that use requests)',
  commands(authority, machine) {
    const bundle = bundleOf(authority)
    const usual = machine.env.REQUESTS_CA_BUNDLE ?? '"$(python3 -m certifi)"'
    const make = usual === bundle ? [] : [`cat ${usual} ${quoted(authority.file)} > ${quoted(bundle)}`]
    return [...make, `export REQUESTS_CA_BUNDLE=${quoted(bundle)}`]
  },
  apply(authority, machine) {
    if (!machine.has('az')) throw new Skipped('az is not installed')
    const bundle = bundleOf(authority)
    const { changed } = ensureFile(bundle, `${usualAuthorities(bundle, machine)}\n${authority.pem}`)
    return { changed, detail: `${bundle}; yours to do: export REQUESTS_CA_BUNDLE=${quoted(bundle)}` }
  },
}

/** What the person's own bundle says, else the list that Mozilla keeps and Node carries. */
function usualAuthorities(bundle: string, { env }: Machine): string {
  const own = env.REQUESTS_CA_BUNDLE
  return (own !== undefined && own !== bundle ? readText(own) : undefined) ?? rootCertificates.join('\n')
}

export const node: TrustTarget = {
  name: 'Node',
  commands: ({ file }) => [`export NODE_EXTRA_CA_CERTS=${quoted(file)}`],
  apply({ file }) {
    throw new Skipped(`it takes a variable, which is yours to set: export NODE_EXTRA_CA_CERTS=${quoted(file)}`)
  },
}

const keystore = ['-cacerts', '-storepass', 'changeit']

export const java: TrustTarget = {
  name: 'Java',
  commands: ({ id, file }) => [
    `sudo keytool -importcert -noprompt ${keystore.join(' ')} -alias ${id} -file ${quoted(file)}`,
  ],
  apply({ id, file }, machine) {
    if (!machine.has('keytool')) throw new Skipped('keytool is not installed')
    if (isInKeystore(id, machine)) return { changed: false, detail: `alias ${id} of cacerts` }
    try {
      machine.run('keytool', ['-importcert', '-noprompt', ...keystore, '-alias', id, '-file', file])
    } catch (error) {
      throw new Skipped(`keytool failed: ${(error as Error).message.split('\n').at(-1)}`, { cause: error })
    }
    return { changed: true, detail: `alias ${id} of cacerts` }
  },
}

function isInKeystore(id: string, machine: Machine): boolean {
  try {
    machine.run('keytool', ['-list', ...keystore, '-alias', id])
    return true
  } catch {
    return false // keytool says "does not exist" with its exit code
  }
}
