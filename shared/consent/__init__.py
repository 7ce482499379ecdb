"""Journey 1: an admin lets us send.

1. `departure`   the admin asks; a flow is kept, and a link that opens once leads this browser to Microsoft
2. `arrival`     Microsoft's answer is checked and taken once; `agreement` says what was agreed to,
                 and the tokens are kept before the settings that name them
3. `journey`     what browsers and the settings page see of it: pages, redirects, how a consent stands
4. `custody`     gives access tokens from then on, and notices a consent that was lost
5. `upkeep`      keeps consents alive once a day, and tidies up; `disposal` deletes tokens
6. `doctor`      tells an admin what is wrong, and who must do what
"""
