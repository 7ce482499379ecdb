"""Get an admin's consent to send mail, and access tokens from it.

1. `departure`   starts a consent: stores a flow and returns a one-time link, which opens Microsoft's page
2. `arrival`     handles the callback once; `agreement` validates what was granted and stores the tokens
                 before the settings that name them
3. `journey`     the HTTP operations: pages, redirects and the state of a consent
4. `custody`     caches access tokens, and detects a lost consent
5. `upkeep`      refreshes consents and deletes orphaned tokens daily; `disposal` deletes tokens
6. `doctor`      runs diagnostics: what is wrong, and who must act
"""
