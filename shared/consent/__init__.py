"""Let an admin consent to sending, and keep the tokens.

1. `start`         keeps a flow, and opens its link once: this browser goes to Microsoft
2. `callback`      checks Microsoft's answer and takes it once; `grant` validates what was granted
3. `completion`    stores the tokens first and then the settings that name them
4. `token_cache`   gives access tokens from then on, and notices a lost consent
5. `maintenance`   refreshes tokens once a day and deletes orphaned ones; `revoke` deletes those of a consent
"""
